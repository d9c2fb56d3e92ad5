#include "documents/pdf_outline.h"

#include <poppler.h>

#include <memory>

#include "documents/pdf_info.h"

namespace palimpsest::documents {
namespace {

constexpr int kDeepestLevel = 8;
constexpr std::size_t kMostEntries = 20'000;

struct Unref {
  void operator()(void* object) const { g_object_unref(object); }
};
struct FreeIterator {
  void operator()(PopplerIndexIter* iterator) const { poppler_index_iter_free(iterator); }
};
struct FreeAction {
  void operator()(PopplerAction* action) const { poppler_action_free(action); }
};
struct FreeDestination {
  void operator()(PopplerDest* destination) const { poppler_dest_free(destination); }
};

void resolve(PopplerDocument* document, const PopplerDest* destination, OutlineEntry& entry) {
  std::unique_ptr<PopplerDest, FreeDestination> named;
  if (destination && destination->type == POPPLER_DEST_NAMED) {
    named.reset(poppler_document_find_dest(document, destination->named_dest));
    destination = named.get();
  }
  if (!destination || destination->page_num < 1 || destination->page_num > poppler_document_get_n_pages(document))
    return;
  entry.page = destination->page_num;
  if (!destination->change_top) return;
  const std::unique_ptr<PopplerPage, Unref> page(poppler_document_get_page(document, entry.page - 1));
  if (!page) return;
  double width = 0, height = 0;
  poppler_page_get_size(page.get(), &width, &height);
  if (destination->top > 0 && destination->top <= height) entry.top = height - destination->top;
}

void readLevel(PopplerDocument* document, PopplerIndexIter* iterator, int level, std::vector<OutlineEntry>& entries) {
  do {
    if (entries.size() >= kMostEntries) return;
    const std::unique_ptr<PopplerAction, FreeAction> action(poppler_index_iter_get_action(iterator));
    if (action && action->any.title) {
      OutlineEntry entry{repairedPdfString(action->any.title), level, 0, -1};
      if (action->type == POPPLER_ACTION_GOTO_DEST) resolve(document, action->goto_dest.dest, entry);
      entries.push_back(std::move(entry));
    }
    const std::unique_ptr<PopplerIndexIter, FreeIterator> child(poppler_index_iter_get_child(iterator));
    if (child && level < kDeepestLevel) readLevel(document, child.get(), level + 1, entries);
  } while (poppler_index_iter_next(iterator));
}

}  // namespace

std::vector<OutlineEntry> readOutline(const std::string& pdfBytes, const std::string& password) {
  std::vector<OutlineEntry> entries;
  GBytes* bytes = g_bytes_new_static(pdfBytes.data(), pdfBytes.size());
  const std::unique_ptr<PopplerDocument, Unref> document(
      poppler_document_new_from_bytes(bytes, password.empty() ? nullptr : password.c_str(), nullptr));
  g_bytes_unref(bytes);
  if (!document) return entries;
  const std::unique_ptr<PopplerIndexIter, FreeIterator> iterator(poppler_index_iter_new(document.get()));
  if (iterator) readLevel(document.get(), iterator.get(), 0, entries);
  return entries;
}

}  // namespace palimpsest::documents
