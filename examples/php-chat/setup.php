<?php

// Run once, php setup.php: the chats keep their last messages.

declare(strict_types=1);

require __DIR__ . '/comet.php';

comet("INSERT INTO pipes_settings (name, length) VALUES ('simplechat', 100), ('webauth_members', 100)");
