# The window's executable: palimpsest_ui and palimpsest_app meet here and nowhere else.
find_package(Qt6 REQUIRED COMPONENTS Network)
add_executable(palimpsest gui_main.cpp gui_handover.cpp gui_options.cpp gui_wiring.cpp)
target_link_libraries(palimpsest PRIVATE palimpsest_app palimpsest_ui Qt6::Network)
set_target_properties(palimpsest PROPERTIES AUTOMOC ON)

include(GNUInstallDirs)
install(TARGETS palimpsest RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${PROJECT_SOURCE_DIR}/resources/org.palimpsest.Palimpsest.desktop
        DESTINATION ${CMAKE_INSTALL_DATADIR}/applications)
install(FILES ${PROJECT_SOURCE_DIR}/resources/org.palimpsest.Palimpsest.metainfo.xml
        DESTINATION ${CMAKE_INSTALL_DATADIR}/metainfo)
install(FILES ${PROJECT_SOURCE_DIR}/resources/icons/palimpsest.svg
        DESTINATION ${CMAKE_INSTALL_DATADIR}/icons/hicolor/scalable/apps RENAME org.palimpsest.Palimpsest.svg)
