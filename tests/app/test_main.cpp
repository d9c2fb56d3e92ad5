#include <gmock/gmock.h>

#include <QGuiApplication>

int main(int argc, char** argv) {
  qputenv("QT_QPA_PLATFORM", "offscreen");
  // For the programs that the tests start, where they are built with sanitizers.
  if (qEnvironmentVariableIsEmpty("LSAN_OPTIONS"))
    qputenv("LSAN_OPTIONS",
            "print_suppressions=0:suppressions=" PALIMPSEST_SOURCE_DIR "/tests/app/leak_suppressions.txt");
  QGuiApplication application(argc, argv);
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
