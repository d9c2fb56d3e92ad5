// Whether a book is in a language that an English model can make something of.
#pragma once

#include "documents/document.h"

namespace palimpsest::documents {

// True only of what is plainly in another language, or in none. Counted are the sixteen commonest English words that
// few other languages share (the, of, and, ...): in English books they are 15 to 25 of 100 words, in others at most 3,
// and the line is drawn at 6. A text of less than 200 words is never judged.
bool isPlainlyNotEnglish(const Document& document);

}  // namespace palimpsest::documents
