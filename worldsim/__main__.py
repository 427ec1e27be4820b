from worldsim.cli import main

raise SystemExit(main())
