int cli_main(int argc, char **argv); int cli_main(int argc, char **argv){return 0;}
