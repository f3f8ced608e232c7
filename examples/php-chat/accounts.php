<?php

// Who may log in: on a real site a table of its database. The passwords are "<login>-password".

declare(strict_types=1);

return [
    'ada' => ['id' => 101, 'name' => 'Ada', 'password' => '$2y$10$AUVPdcAPSDRyfZZruYFiAOzgjQ3L2x0m2Tu52PZDfMM8/hK6xTYTy'],
    'boris' => ['id' => 102, 'name' => 'Boris', 'password' => '$2y$10$.Nv5lT.KkyXhJ4bXFHKCGeiM/f3zpYAZZ9w.7guyAhsNSiuflesYW'],
    'clara' => ['id' => 103, 'name' => 'Clara', 'password' => '$2y$10$zjBRYZcwShvOawYNqK3Aa.a4bIfBV.VwHGRp.BCmvMDOplKkTV.xe'],
];
