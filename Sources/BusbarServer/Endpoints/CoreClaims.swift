import Synchronization

/// Which negotiated connections of this node are in use or have been, so that a token opens one connection only.
///
/// Negotiate stores nothing. A token is remembered from its first use until it would have expired anyway.
package final class CoreClaims: Sendable {
    package init() {}

    /// The 16 bytes behind a connection id.
    package struct Key: Hashable, Sendable {
        let high: UInt64
        let low: UInt64

        package init(high: UInt64, low: UInt64) {
            self.high = high
            self.low = low
        }
    }

    package enum Verdict: Hashable { case claimed, inUse, used }

    private enum Use: Hashable {
        case live(expiry: Int)
        case over(expiry: Int)
    }

    private struct Claims {
        var uses: [Key: Use] = [:]
        /// Ended claims by the second in which they may be forgotten.
        var endings: [Int: [Key]] = [:]
        var forgottenUntil = 0
    }

    private let claims = Mutex(Claims())

    /// - Parameters:
    ///   - expiry: when the token ends, in seconds since 1970.
    ///   - now: the present in seconds since 1970.
    package func claim(_ key: Key, expiry: Int, now: Int) -> Verdict {
        self.claims.withLock { claims in
            Self.forget(&claims, now: now)
            switch claims.uses[key] {
            case .live: return .inUse
            case .over: return .used
            case nil:
                claims.uses[key] = .live(expiry: expiry)
                return .claimed
            }
        }
    }

    /// What is known of a token without using it.
    package func isLive(_ key: Key) -> Bool {
        self.claims.withLock {
            if case .live = $0.uses[key] { true } else { false }
        }
    }

    package func isOver(_ key: Key) -> Bool {
        self.claims.withLock {
            if case .over = $0.uses[key] { true } else { false }
        }
    }

    package func release(_ key: Key, now: Int) {
        self.claims.withLock { claims in
            guard case .live(let expiry) = claims.uses[key] else { return }
            if expiry > now {
                claims.uses[key] = .over(expiry: expiry)
                claims.endings[expiry, default: []].append(key)
            } else {
                claims.uses[key] = nil
            }
            Self.forget(&claims, now: now)
        }
    }

    package var count: Int { self.claims.withLock { $0.uses.count } }

    private static func forget(_ claims: inout Claims, now: Int) {
        guard now > claims.forgottenUntil else { return }
        claims.forgottenUntil = now
        for expiry in claims.endings.keys where expiry < now {
            for key in claims.endings.removeValue(forKey: expiry) ?? [] { claims.uses[key] = nil }
        }
    }
}

/// A token in use; released when nobody holds it any more, however its connection came to its end.
final class CoreClaim: Sendable {
    private let key: CoreClaims.Key
    private let claims: CoreClaims
    private let clock: WallClock

    init(key: CoreClaims.Key, claims: CoreClaims, clock: WallClock) {
        self.key = key
        self.claims = claims
        self.clock = clock
    }

    deinit {
        self.claims.release(self.key, now: self.clock.seconds())
    }
}
