#include <QCommandLineParser>
#include <QCoreApplication>
#include <QFileInfo>
#include <map>

#include "app/cli.h"
#include "app/paths.h"
#include "app/words.h"

namespace palimpsest::app::cli {

namespace {

const char* const kDescription =
    "Reads a book once, keeps a memory of it, and answers from that memory.\n\n"
    "Verbs:\n"
    "  read [FILE...]               read books into the library; without FILE, go on with unfinished ones\n"
    "  read --again DOC...          read books of the library once more, from their stored text\n"
    "  list                         what is in the library\n"
    "  chapters DOC                 its chapters, and which of them are remembered one by one\n"
    "  ask DOC [DOC...] \"QUESTION\"  answer a question about a book, or about several at once: the book that the\n"
    "                               answer comes from is named\n"
    "  ask --all \"QUESTION\"         the same of every book that has been read\n"
    "  ask --alone DOC \"QUESTION\"   a question by itself: otherwise the two before it count, as in a conversation\n"
    "  questions DOC [DOC...] FILE.json\n"
    "                               ask every [{\"question\", \"answer\", \"kind\"}] from memory and count the right "
    "ones\n"
    "  eval FILE.jsonl              read and ask the documents of a file of cases, apart from the library, and score\n"
    "                               the answers from memory\n"
    "  summarize DOC                the book card, made from memory\n"
    "  ask, summarize --chapter C   only of what that chapter says\n"
    "  ask, summarize --up-to C     as one who has read to the end of that chapter: nothing later is given away\n"
    "  export DOC FILE              summary, conversation and quotes as .md, .html, .pdf or .txt; a FILE that is "
    "there\n"
    "                               is only written over with --force\n"
    "  export DOC DOC... FILE       what was asked of these books at once\n"
    "  remove DOC...                remove books with their memories and conversations\n"
    "  bench [FILE]                 how fast the model reads and answers here (default: the bundled book)\n\n"
    "DOC is a number from list, a title or its beginning, a file name, or the beginning of a content hash.\n"
    "C is a title or its beginning, or a number from chapters.\n\n"
    "Exit codes:\n"
    "  0 done   1 something could not be done   2 wrong command line   3 the library cannot be opened\n"
    "  4 the model cannot be loaded   5 another Palimpsest is using the library   6 no such book or chapter, or "
    "several\n"
    "  130 interrupted; what was read is kept";

ui::AnswerWay wayOf(const QString& name) {
  if (name == u"memory") return ui::AnswerWay::Memory;
  if (name == u"both") return ui::AnswerWay::MemoryAndPassages;
  if (name == u"passages") return ui::AnswerWay::Passages;
  throw Exit{WrongUsage, QStringLiteral("--way is memory, both or passages, not “%1”.").arg(name)};
}

int countOf(const QString& option, const QString& text) {
  bool ok = false;
  const int count = text.toInt(&ok);
  if (!ok || count < 0 || count > 4096)
    throw Exit{WrongUsage, QStringLiteral("--%1 wants a whole number from 0 to 4096, not “%2”.").arg(option, text)};
  return count;
}

double numberOf(const QString& option, const QString& text, double least, double most, const char* range) {
  bool ok = false;
  const double number = text.toDouble(&ok);
  if (!ok || !(number >= least && number <= most))
    throw Exit{WrongUsage, QStringLiteral("--%1 wants %2, not “%3”.").arg(option, QString::fromLatin1(range), text)};
  return number;
}

Sampling samplingOf(const QString& temperature, const QString& topP, const QString& seed) {
  Sampling sampling;
  sampling.temperature = numberOf(QStringLiteral("temperature"), temperature, 0, 1000, "a number from 0 on");
  sampling.topP = numberOf(QStringLiteral("top-p"), topP, 1e-6, 1, "a share above 0, at most 1");
  bool ok = false;
  sampling.seed = seed.toULongLong(&ok);
  if (!ok) throw Exit{WrongUsage, QStringLiteral("--seed wants a whole number, not “%1”.").arg(seed)};
  return sampling;
}

// A question, a measurement or a file of cases is computed by one device.
std::vector<engine::DeviceChoice> devicesOf(const QString& verb, const QString& words) {
  if (words == u"cuda:all" && verb != u"read")
    throw Exit{WrongUsage, QStringLiteral("--device cuda:all goes with read, not with %1: choose one card.").arg(verb)};
  const auto devices = engine::devicesOf(words.toStdString());
  if (devices.empty())
    throw Exit{WrongUsage, QStringLiteral("--device wants auto, cpu, cuda, cuda:1 or cuda:all, not “%1”.").arg(words)};
  return devices;
}

void checkPart(const Options& options, bool chapter, bool upTo) {
  if (!chapter && !upTo) return;
  if (chapter && upTo) throw Exit{WrongUsage, QStringLiteral("Either --chapter or --up-to, not both.")};
  if (options.verb != u"ask" && options.verb != u"summarize")
    throw Exit{WrongUsage,
               QStringLiteral("--chapter and --up-to go with ask and summarize, not with %1.").arg(options.verb)};
  if (options.chapter.isEmpty() && options.upTo.isEmpty())
    throw Exit{WrongUsage, QStringLiteral("Which chapter? See palimpsest-cli chapters DOC.")};
}

// Options of one verb or two; all others go with every one. Which part is summed up has a check of its own.
void checkVerb(const QString& verb, const QStringList& given) {
  static const std::map<QString, QString> verbs = {
      {"way", "ask"},        {"temperature", "ask"}, {"top-p", "ask"},
      {"seed", "ask"},       {"all", "ask"},         {"out", "summarize"},
      {"alone", "ask"},      {"password", "read"},   {"checkpoint", "read"},
      {"again", "read"},     {"first", "questions"}, {"seconds", "bench"},
      {"knock-out", "eval"}, {"yes", "remove"},      {"force", "export and summarize"}};
  for (const QString& name : given)
    if (const auto found = verbs.find(name);
        found != verbs.end() && !found->second.split(QStringLiteral(" and ")).contains(verb))
      throw Exit{WrongUsage, QStringLiteral("--%1 goes with %2, not with %3.").arg(name, found->second, verb)};
}

// How many arguments each verb takes.
void checkArguments(const Options& options) {
  const auto want = [&](qsizetype least, qsizetype most, const char* usage) {
    if (options.verb == QString::fromLatin1(usage).section(QLatin1Char(' '), 0, 0) &&
        (options.arguments.size() < least || options.arguments.size() > most))
      throw Exit{WrongUsage, QStringLiteral("Usage: palimpsest-cli %1").arg(QString::fromLatin1(usage))};
  };
  options.again ? want(1, 100000, "read --again DOC...") : want(0, 100000, "read [FILE...]");
  want(0, 0, "list");
  want(1, 1, "chapters DOC");
  if (options.all && options.verb == u"ask") {
    want(1, 1, "ask --all \"QUESTION\"");
  } else {
    want(2, 100000, "ask DOC [DOC...] \"QUESTION\"");
  }
  want(2, 100000, "questions DOC [DOC...] FILE.json");
  want(1, 1, "eval FILE.jsonl [--knock-out]");
  want(1, 1, "summarize DOC [--out FILE [--force]]");
  want(2, 100000, "export DOC [DOC...] FILE [--force]");
  want(1, 100000, "remove DOC...");
  want(0, 1, "bench [FILE]");
}

// Where what was taken for options may be the name of a file; else empty.
QString fileHint(const QStringList& commandLine) {
  for (const QString& word : commandLine.mid(1))
    if (word.startsWith(QLatin1Char('-')) && !word.contains(QLatin1Char('=')) &&
        (!QFileInfo(word).suffix().isEmpty() || QFileInfo::exists(word)))
      return QStringLiteral(" A file whose name begins with “-” is written ./%1.").arg(word);
  return {};
}

}  // namespace

Options parseOptions(const QStringList& commandLine) {
  const QCommandLineOption db({QStringLiteral("db")},
                              QStringLiteral("The library file (default: %1).").arg(defaultDatabase()),
                              QStringLiteral("file"));
  const QCommandLineOption model(
      {QStringLiteral("model")},
      QStringLiteral("The model folder (default: $PALIMPSEST_MODEL, else the shipped model)."),
      QStringLiteral("folder"));
  const QCommandLineOption threads({QStringLiteral("threads")},
                                   QStringLiteral("Threads to compute with (default: the physical cores)."),
                                   QStringLiteral("n"), QStringLiteral("0"));
  const QCommandLineOption device(
      {QStringLiteral("device")},
      QStringLiteral("Where to compute: cpu, cuda (the first graphics card), "
                     "cuda:1, ..., or auto (default): a card that the model fits on, else the CPU. "
                     "read: also cuda:all, every card that the model fits on, each reading "
                     "a book of its own."),
      QStringLiteral("device"), QStringLiteral("auto"));
  const QCommandLineOption weights(
      {QStringLiteral("weights")},
      QStringLiteral("How weights are kept: full, int8, fp8, int4, or auto (default): the best that fits on the "
                     "graphics card, full on the CPU. fp8, which auto never takes, is for reading fast on an H100 or "
                     "H200. On the CPU, int8, fp8 and int4 compute with the values that a card would have, but save no "
                     "memory."),
      QStringLiteral("weights"), QStringLiteral("auto"));
  const QCommandLineOption way({QStringLiteral("way")},
                               QStringLiteral("ask: memory, both (memory and passages) or passages."),
                               QStringLiteral("way"), QStringLiteral("memory"));
  const QCommandLineOption temperature(
      {QStringLiteral("temperature")},
      QStringLiteral("ask: how freely words are chosen; 0 (default) always takes the likeliest one."),
      QStringLiteral("t"), QStringLiteral("0"));
  const QCommandLineOption topP(
      {QStringLiteral("top-p")},
      QStringLiteral("ask: with a temperature, only among the likeliest words that make up this share (default: 1)."),
      QStringLiteral("p"), QStringLiteral("1"));
  const QCommandLineOption seed({QStringLiteral("seed")},
                                QStringLiteral("ask: with a temperature, another seed gives another answer."),
                                QStringLiteral("n"), QStringLiteral("0"));
  const QCommandLineOption out({QStringLiteral("out")},
                               QStringLiteral("summarize: write the summary to this file as well."),
                               QStringLiteral("file"));
  const QCommandLineOption password({QStringLiteral("password")}, QStringLiteral("read: the password of a locked PDF."),
                                    QStringLiteral("text"));
  const QCommandLineOption first({QStringLiteral("first")}, QStringLiteral("questions: only the first n."),
                                 QStringLiteral("n"), QStringLiteral("0"));
  const QCommandLineOption checkpoint({QStringLiteral("checkpoint")},
                                      QStringLiteral("read: keep what was read at least every so many seconds."),
                                      QStringLiteral("seconds"), QStringLiteral("3"));
  const QCommandLineOption seconds({QStringLiteral("seconds")},
                                   QStringLiteral("bench: for how long it reads (default: 5)."),
                                   QStringLiteral("seconds"), QStringLiteral("5"));
  const QCommandLineOption knockOut(
      {QStringLiteral("knock-out")},
      QStringLiteral("eval: ask once more with the memory zeroed, and with another document's."));
  const QCommandLineOption json({QStringLiteral("json")}, QStringLiteral("Results as JSON."));
  const QCommandLineOption all({QStringLiteral("all")}, QStringLiteral("ask: every book that has been read."));
  const QCommandLineOption alone(
      {QStringLiteral("alone")},
      QStringLiteral("ask: what was asked of the book before does not count, and the answer is not kept."));
  const QCommandLineOption chapter({QStringLiteral("chapter")}, QStringLiteral("ask, summarize: only this chapter."),
                                   QStringLiteral("chapter"));
  const QCommandLineOption upTo({QStringLiteral("up-to")},
                                QStringLiteral("ask, summarize: from the beginning to the end of this chapter."),
                                QStringLiteral("chapter"));
  const QCommandLineOption again({QStringLiteral("again")},
                                 QStringLiteral("read: books of the library, from their stored text."));
  const QCommandLineOption yes({QStringLiteral("yes")}, QStringLiteral("remove: do not ask back."));
  const QCommandLineOption force({QStringLiteral("force")},
                                 QStringLiteral("export, summarize --out: write over a file that is there."));
  QCommandLineParser parser;
  parser.setApplicationDescription(QString::fromUtf8(kDescription));
  parser.addOptions({db,    model, threads,  device,   weights,    way,     temperature, topP,
                     seed,  out,   password, first,    checkpoint, seconds, chapter,     upTo,
                     again, all,   alone,    knockOut, json,       yes,     force});
  // Not Qt's own: that comes with --help-all, whose Qt options do nothing here.
  const QCommandLineOption help({QStringLiteral("h"), QStringLiteral("help")}, QStringLiteral("This text."));
  parser.addOption(help);
  const QCommandLineOption version = parser.addVersionOption();
  parser.addPositionalArgument(QStringLiteral("verb"), QStringLiteral("What to do; see above."));
  parser.addPositionalArgument(QStringLiteral("arguments"), QStringLiteral("See above."), QStringLiteral("[...]"));

  if (!parser.parse(commandLine))
    throw Exit{WrongUsage, parser.errorText() + fileHint(commandLine) + QStringLiteral(" See palimpsest-cli --help.")};
  if (parser.isSet(help)) throw Exit{Done, parser.helpText()};
  if (parser.isSet(version))
    throw Exit{Done, QStringLiteral("palimpsest %1\n").arg(QCoreApplication::applicationVersion())};
  const QStringList words = parser.positionalArguments();
  if (words.isEmpty()) throw Exit{WrongUsage, QStringLiteral("What is to be done? See palimpsest-cli --help.")};

  Options options;
  options.verb = words.first();
  options.arguments = words.mid(1);
  options.assistant.database = toPath(parser.isSet(db) ? parser.value(db) : defaultDatabase());
  options.assistant.modelFolder = toPath(modelFolder(parser.value(model)));
  options.assistant.threads = countOf(QStringLiteral("threads"), parser.value(threads));
  options.assistant.devices = devicesOf(options.verb, parser.value(device));
  const auto chosenWeights = engine::weightsOf(parser.value(weights).toStdString());
  if (!chosenWeights)
    throw Exit{WrongUsage,
               QStringLiteral("--weights wants auto, full, int8, fp8 or int4, not “%1”.").arg(parser.value(weights))};
  options.assistant.weights = *chosenWeights;
  options.way = wayOf(parser.value(way));
  options.sampling = samplingOf(parser.value(temperature), parser.value(topP), parser.value(seed));
  options.out = parser.value(out);
  options.password = parser.value(password);
  options.chapter = parser.value(chapter).trimmed();
  options.upTo = parser.value(upTo).trimmed();
  checkPart(options, parser.isSet(chapter), parser.isSet(upTo));
  options.first = countOf(QStringLiteral("first"), parser.value(first));
  options.assistant.checkpointSeconds =
      numberOf(QStringLiteral("checkpoint"), parser.value(checkpoint), 0, 1e9, "seconds");
  options.benchSeconds = numberOf(QStringLiteral("seconds"), parser.value(seconds), 0.01, 3600, "seconds");
  options.knockOut = parser.isSet(knockOut);
  options.json = parser.isSet(json);
  options.all = parser.isSet(all);
  options.assistant.keepConversations = !parser.isSet(alone);
  options.again = parser.isSet(again);
  options.yes = parser.isSet(yes);
  options.force = parser.isSet(force);
  checkArguments(options);
  checkVerb(options.verb, parser.optionNames());
  return options;
}

}  // namespace palimpsest::app::cli
