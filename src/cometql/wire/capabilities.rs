//! Capability flags: what the server offers and what a session agreed on.
//!
//! Only what is implemented is offered: a client that is promised compression, say, uses it and then hangs.

/// A set of capability flags.
///
/// Source: "Capabilities Flags" of the `MySQL` protocol documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities(pub(super) u32);

impl Capabilities {
    /// Without it `MariaDB` clients take the server for a `MariaDB` of 10.2 or later and read extended flags.
    pub(super) const LONG_PASSWORD: Self = Self(1);
    pub(super) const LONG_FLAG: Self = Self(1 << 2);
    pub(super) const CONNECT_WITH_DB: Self = Self(1 << 3);
    /// Never offered. Some clients ask for it all the same and compress from the login on.
    pub(super) const COMPRESS: Self = Self(1 << 5);
    pub(super) const PROTOCOL_41: Self = Self(1 << 9);
    pub(super) const SSL: Self = Self(1 << 11);
    /// The status field is in every OK packet.
    pub(super) const TRANSACTIONS: Self = Self(1 << 13);
    pub(super) const SECURE_CONNECTION: Self = Self(1 << 15);
    pub(super) const MULTI_STATEMENTS: Self = Self(1 << 16);
    pub(super) const MULTI_RESULTS: Self = Self(1 << 17);
    pub(super) const PLUGIN_AUTH: Self = Self(1 << 19);
    pub(super) const CONNECT_ATTRIBUTES: Self = Self(1 << 20);
    pub(super) const LENGTH_ENCODED_AUTH: Self = Self(1 << 21);
    pub(super) const DEPRECATE_EOF: Self = Self(1 << 24);

    /// As [`COMPRESS`](Self::COMPRESS), with another algorithm.
    pub(super) const COMPRESS_ZSTD: Self = Self(1 << 26);

    pub(super) fn offered(tls: bool) -> Self {
        const ALWAYS: [Capabilities; 12] = [
            Capabilities::LONG_PASSWORD,
            Capabilities::LONG_FLAG,
            Capabilities::CONNECT_WITH_DB,
            Capabilities::PROTOCOL_41,
            Capabilities::TRANSACTIONS,
            Capabilities::SECURE_CONNECTION,
            Capabilities::MULTI_STATEMENTS,
            Capabilities::MULTI_RESULTS,
            Capabilities::PLUGIN_AUTH,
            Capabilities::CONNECT_ATTRIBUTES,
            Capabilities::LENGTH_ENCODED_AUTH,
            Capabilities::DEPRECATE_EOF,
        ];
        let always = ALWAYS.iter().fold(Self(0), |all, one| all.with(*one));
        if tls { always.with(Self::SSL) } else { always }
    }

    pub(super) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }

    #[must_use]
    pub(super) fn with(self, flag: Self) -> Self {
        Self(self.0 | flag.0)
    }

    #[must_use]
    pub(super) fn without(self, flag: Self) -> Self {
        Self(self.0 & !flag.0)
    }

    #[must_use]
    pub(super) fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
