from worldsim.cli.main import main

raise SystemExit(main())
