<?php

// A block that is given as a file, in a site that has vlucas/phpdotenv.

require '/usr/share/php/Dotenv/autoload.php';
require getcwd() . '/' . $argv[1];
