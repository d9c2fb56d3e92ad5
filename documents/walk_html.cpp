// HTML of any quality through gumbo. Its allocator is ours: gumbo takes whatever time and memory a page asks for (deep
// nesting costs it quadratic time, and its own clean-up recurses), so the guard stops a parse that goes too far.
#include <gumbo.h>

#include <chrono>
#include <csetjmp>
#include <cstdlib>
#include <new>

#include "documents/flow.h"
#include "documents/source.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

using Reason = ExtractionError::Reason;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxMemory = std::size_t{1} << 30;
constexpr std::chrono::seconds kMaxTime{30};

// Owns every byte of one parse. Leaving a parse early is a longjmp out of C code: gumbo has no global state, holds no
// lock, and everything it allocated hangs on this list.
class ParseGuard {
 public:
  explicit ParseGuard(const Job& job) : job_(job), deadline_(Clock::now() + kMaxTime) {}
  ~ParseGuard() {
    for (Piece* piece = first_; piece;) {
      Piece* next = piece->next;
      std::free(piece);
      piece = next;
    }
  }
  ParseGuard(const ParseGuard&) = delete;
  ParseGuard& operator=(const ParseGuard&) = delete;

  GumboOutput* parse(const std::string& utf8) {
    GumboOptions options = kGumboDefaultOptions;
    options.allocator = [](void* self, std::size_t size) { return static_cast<ParseGuard*>(self)->allocate(size); };
    options.deallocator = [](void* self, void* bytes) { static_cast<ParseGuard*>(self)->release(bytes); };
    options.userdata = this;
    options.max_errors = 0;
    if (setjmp(leave_) != 0) return nullptr;
    return gumbo_parse_with_options(&options, utf8.data(), utf8.size());
  }

 private:
  struct alignas(std::max_align_t) Piece {
    Piece* previous;
    Piece* next;
    std::size_t size;
  };

  void* allocate(std::size_t size) {
    used_ += sizeof(Piece) + size;
    if (used_ > kMaxMemory || (++calls_ % 4096 == 0 && (job_.stopRequested() || Clock::now() > deadline_)))
      std::longjmp(leave_, 1);
    auto* piece = static_cast<Piece*>(std::malloc(sizeof(Piece) + size));
    if (!piece) std::longjmp(leave_, 1);
    *piece = {nullptr, first_, size};
    if (first_) first_->previous = piece;
    first_ = piece;
    return piece + 1;
  }

  void release(void* bytes) {
    if (!bytes) return;
    Piece* piece = static_cast<Piece*>(bytes) - 1;
    (piece->previous ? piece->previous->next : first_) = piece->next;
    if (piece->next) piece->next->previous = piece->previous;
    used_ -= sizeof(Piece) + piece->size;
    std::free(piece);
  }

  const Job& job_;
  Clock::time_point deadline_;
  std::jmp_buf leave_{};
  Piece* first_ = nullptr;
  std::size_t used_ = 0, calls_ = 0;
};

std::string elementName(const GumboElement& element) {
  if (element.tag != GUMBO_TAG_UNKNOWN) return gumbo_normalized_tagname(element.tag);
  GumboStringPiece piece = element.original_tag;
  gumbo_tag_from_original_text(&piece);
  const std::string name = lowerCase(std::string_view(piece.data ? piece.data : "", piece.data ? piece.length : 0));
  const auto colon = name.find(':');
  return colon == std::string::npos ? name : name.substr(colon + 1);
}

void openElement(const GumboElement& element, FlowBuilder& builder) {
  const Attribute attribute = [&element](std::string_view name) -> std::string_view {
    const GumboAttribute* found = gumbo_get_attribute(&element.attributes, std::string(name).c_str());
    return found ? std::string_view(found->value) : std::string_view();
  };
  builder.open(elementName(element), attribute);
}

}  // namespace

void walkHtml(const Source& source, const Job& job, const std::string& utf8, FlowBuilder& builder) {
  ParseGuard guard(job);
  const GumboOutput* output = guard.parse(utf8);
  job.throwIfStopped();
  if (!output)
    source.fail(Reason::TooLarge, "is built in a way that would take too long to read (very deep or endless nesting).");
  struct Place {
    const GumboNode* node;
    unsigned next;
  };
  std::vector<Place> path;
  const auto enter = [&](const GumboNode* node) {
    if (node->type == GUMBO_NODE_ELEMENT || node->type == GUMBO_NODE_TEMPLATE) {
      if (path.size() >= static_cast<std::size_t>(kMaxNesting))
        source.fail(Reason::TooLarge, "is nested deeper than any book and was not read.");
      openElement(node->v.element, builder);
      path.push_back({node, 0});
    } else if (node->type != GUMBO_NODE_COMMENT && node->type != GUMBO_NODE_DOCUMENT) {
      builder.text(node->v.text.text);
    }
  };
  enter(output->root);
  while (!path.empty()) {
    const GumboVector& children = path.back().node->v.element.children;
    if (path.back().next < children.length) {
      enter(static_cast<const GumboNode*>(children.data[path.back().next++]));
    } else {
      builder.close();
      path.pop_back();
    }
  }
}

}  // namespace palimpsest::documents
