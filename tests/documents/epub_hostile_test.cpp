// EPUBs that mean harm, or are locked or cut.
#include <algorithm>

#include "documents/zip_archive.h"
#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using Reason = ExtractionError::Reason;
using testing::HasSubstr;

ExtractionError refusalOf(const EpubParts& parts) { return extractionErrorOfBytes("bad.epub", makeEpub(parts)); }

TEST(HostileEpub, HrefsThatLeaveTheArchiveAreRefused) {
  for (const std::string href :
       {"../../etc/passwd", "../../../../../../etc/passwd", "%2e%2e/%2E%2E/etc/passwd", "x/../../../secret.xhtml"}) {
    EpubParts parts;
    parts.chapters = {{"c.xhtml", "<p>x</p>"}};
    parts.manifest = "<item id='evil' href='" + href + "' media-type='application/xhtml+xml'/>";
    parts.spineExtra = "<itemref idref='evil'/>";
    const ExtractionError error = refusalOf(parts);
    EXPECT_EQ(error.reason(), Reason::Broken) << href;
    EXPECT_THAT(error.what(), HasSubstr("names a file outside itself"));
  }
}

TEST(HostileEpub, AbsolutePathsAreLookedUpInTheArchiveOnly) {
  EpubParts parts;
  parts.chapters = {{"c.xhtml", "<p>Inside.</p>"}};
  parts.manifest = "<item id='evil' href='/etc/passwd' media-type='application/xhtml+xml'/>";
  parts.spineExtra = "<itemref idref='evil'/>";
  const Document book = extractBytes("bad.epub", makeEpub(parts));
  EXPECT_THAT(texts(book), testing::ElementsAre("Inside."));
  EXPECT_EQ(book.warnings.size(), 1u);
}

TEST(HostileEpub, EntryNamesWithDotsAreOnlyNames) {
  EpubParts parts;
  parts.chapters = {{"c.xhtml", "<p>Inside.</p>"}};
  parts.extra = {{"../secret.xhtml", xhtml("<p>Outside.</p>")}};
  EXPECT_THAT(texts(extractBytes("odd.epub", makeEpub(parts))), testing::ElementsAre("Inside."));
  // Even an entry that is called so cannot be reached by a path that leaves the archive.
  parts.manifest = "<item id='evil' href='../../secret.xhtml' media-type='application/xhtml+xml'/>";
  parts.spineExtra = "<itemref idref='evil'/>";
  EXPECT_THAT(refusalOf(parts).what(), HasSubstr("names a file outside itself"));
}

TEST(HostileEpub, ExternalEntitiesAreNotResolved) {
  const TempFolder folder;
  const fs::path secret = folder.write("secret.txt", "TOP SECRET");
  EpubParts parts;
  parts.chapters = {{"c.xhtml", "<!DOCTYPE html [<!ENTITY x SYSTEM 'file://" + secret.string() +
                                    "'><!ENTITY a 'aaaa'>]><html><body><p>Text &x; &a; end.</p></body></html>"}};
  const std::string text = allText(extractBytes("xxe.epub", makeEpub(parts)));
  EXPECT_THAT(text, testing::Not(HasSubstr("TOP SECRET")));
  EXPECT_THAT(text, HasSubstr("end."));
}

TEST(HostileEpub, EntitiesDoNotMultiply) {
  std::string dtd = "<!DOCTYPE lolz [<!ENTITY l0 'lol'>";
  for (int i = 1; i < 20; ++i) {
    dtd += "<!ENTITY l" + std::to_string(i) + " '";
    for (int k = 0; k < 10; ++k) dtd += "&l" + std::to_string(i - 1) + ";";
    dtd += "'>";
  }
  EpubParts parts;
  parts.chapters = {{"c.xhtml", dtd + "]><html><body><p>&l19;</p></body></html>"}};
  EXPECT_LT(allText(extractBytes("lol.epub", makeEpub(parts))).size(), 1000u);
}

TEST(HostileEpub, ZipBombIsRefusedQuickly) {
  EpubParts parts;
  parts.chapters = {{"c.xhtml", "<p>" + std::string(60 << 20, ' ') + "</p>"}};
  ExtractionError error = refusalOf(parts);
  EXPECT_EQ(error.reason(), Reason::TooLarge);
  EXPECT_THAT(error.what(), HasSubstr("zip bomb"));
  // A picture that nobody opens counts as well.
  parts.chapters = {{"c.xhtml", "<p>x</p>"}};
  parts.extra = {{"EPUB/big.png", std::string(100 << 20, '\0')}};
  error = refusalOf(parts);
  EXPECT_EQ(error.reason(), Reason::TooLarge);
}

TEST(HostileEpub, TooManyEntriesAreRefused) {
  Entries entries = {{"mimetype", "application/epub+zip"}};
  for (int i = 0; i < 20'001; ++i) entries.emplace_back(std::to_string(i), "");
  EXPECT_EQ(extractionErrorOfBytes("many.epub", makeZip(entries)).reason(), Reason::TooLarge);
}

TEST(HostileEpub, DeepNestingIsRefusedInBothParsers) {
  std::string open, close;
  for (int i = 0; i < 100'000; ++i) open += "<div>", close += "</div>";
  EpubParts parts;
  parts.chapters = {{"c.xhtml", open + "x" + close}};
  EXPECT_EQ(refusalOf(parts).reason(), Reason::TooLarge);
  parts.chapters = {{"c.xhtml", open.substr(0, 5 * 5000) + "x"}};  // not well-formed
  EXPECT_EQ(refusalOf(parts).reason(), Reason::TooLarge);
}

TEST(HostileEpub, DeepTableOfContentsIsCutNotFollowed) {
  std::string open, close;
  for (int i = 0; i < 20'000; ++i) open += "<ol><li><a href='c.xhtml'>x</a>", close += "</li></ol>";
  EpubParts parts;
  parts.chapters = {{"c.xhtml", "<p>Text.</p>"}};
  parts.nav = "<nav epub:type='toc'>" + open + close + "</nav>";
  const Document book = extractBytes("deep.epub", makeEpub(parts));
  ASSERT_FALSE(book.chapters.empty());
  int deepest = 0;
  for (const auto& chapter : book.chapters) deepest = std::max(deepest, chapter.level);
  EXPECT_GT(deepest, 2);
  EXPECT_LE(deepest, 20);
}

std::string encryption(const std::string& algorithm, const std::string& uri) {
  return "<encryption xmlns='urn:oasis:names:tc:opendocument:xmlns:container'><EncryptedData "
         "xmlns='http://www.w3.org/2001/04/xmlenc#'>"
         "<EncryptionMethod Algorithm='" +
         algorithm + "'/><CipherData><CipherReference URI='" + uri + "'/></CipherData></EncryptedData></encryption>";
}

TEST(HostileEpub, CopyProtectionIsNamed) {
  EpubParts parts;
  parts.chapters = {{"c.xhtml", "<p>x</p>"}};
  parts.extra = {
      {"META-INF/encryption.xml", encryption("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "EPUB/c.xhtml")}};
  const ExtractionError error = refusalOf(parts);
  EXPECT_EQ(error.reason(), Reason::Locked);
  EXPECT_THAT(error.what(), HasSubstr("copy protection"));
}

TEST(HostileEpub, ObfuscatedFontsAreNoLock) {
  EpubParts parts;
  parts.chapters = {{"c.xhtml", "<p>Readable.</p>"}};
  parts.extra = {{"META-INF/encryption.xml", encryption("http://www.idpf.org/2008/embedding", "EPUB/font.otf")}};
  EXPECT_THAT(texts(extractBytes("fonts.epub", makeEpub(parts))), testing::ElementsAre("Readable."));
}

TEST(HostileEpub, BrokenPackagesSayWhatIsMissing) {
  EXPECT_THAT(extractionErrorOfBytes("a.epub", makeZip({{"mimetype", "application/epub+zip"}})).what(),
              HasSubstr("container.xml is missing"));
  EXPECT_THAT(
      extractionErrorOfBytes(
          "b.epub", makeZip({{"mimetype", "application/epub+zip"},
                             {"META-INF/container.xml", "<container><rootfile full-path='x.opf'/></container>"}}))
          .what(),
      HasSubstr("package file"));
  EpubParts empty;
  EXPECT_THAT(refusalOf(empty).what(), HasSubstr("no list of its chapters"));
  EpubParts pictures;
  pictures.chapters = {{"c.xhtml", "<img src='x.png' alt='A picture of everything'/>"}};
  const ExtractionError error = refusalOf(pictures);
  EXPECT_EQ(error.reason(), Reason::NoText);
  EXPECT_THAT(error.what(), HasSubstr("its pages are pictures"));
}

TEST(HostileEpub, DamagedEntriesAreFoundByTheirChecksum) {
  EpubParts parts;
  std::string story;
  for (int i = 0; i < 2000; ++i) story += "<p>Sentence number " + std::to_string(i * 7919) + ".</p>";
  parts.chapters = {{"c.xhtml", story}};
  std::string bytes = makeEpub(parts);
  const auto at = bytes.find("EPUB/c.xhtml");
  ASSERT_NE(at, std::string::npos);
  bytes[at + 600] = static_cast<char>(bytes[at + 600] ^ 0x55);
  const ExtractionError error = extractionErrorOfBytes("flipped.epub", bytes);
  EXPECT_EQ(error.reason(), Reason::Broken);
  EXPECT_THAT(error.what(), HasSubstr("cannot be unpacked"));
}

TEST(Hrefs, ResolveWithinTheArchive) {
  EXPECT_EQ(resolveHref("EPUB/nav/toc.xhtml", "../text/c%201.xhtml#p5"), "EPUB/text/c 1.xhtml");
  EXPECT_EQ(resolveHref("EPUB/a.xhtml", "/META-INF/x"), "META-INF/x");
  EXPECT_EQ(resolveHref("EPUB/a.xhtml", "#here"), "EPUB/a.xhtml");
  EXPECT_EQ(resolveHref("a.xhtml", "../b"), std::nullopt);
  EXPECT_EQ(resolveHref("a.xhtml", "https://example.org/b"), std::nullopt);
  EXPECT_EQ(hrefFragment("a.xhtml#p%205"), "p 5");
}

}  // namespace
}  // namespace palimpsest::documents::tests
