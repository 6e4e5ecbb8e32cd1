public import BusbarDriver

/// What happens to one record on its way from the wrapped driver to the inbox.
public enum DeliveryFault: Hashable, Sendable {
    case pass
    /// It never arrives. The log still holds it.
    case drop
    /// It arrives twice.
    case duplicate
    /// It waits until ``FaultyDriver/release()``.
    case hold
    /// It arrives after the next one of its stream.
    case swap
}

/// What happens to one append.
public enum AppendFault: Hashable, Sendable {
    case pass
    /// Nothing is stored.
    case fail(DriverError)
    /// The batch is stored, and the writer is told that it may not be.
    case loseReply
    /// It doesn't return before ``FaultyDriver/release()``, and stores nothing before that.
    case hang
}

/// What happens to one read or extent.
public enum ReadFault: Hashable, Sendable {
    case pass
    case fail(DriverError)
    /// It doesn't return before ``FaultyDriver/release()``.
    case hang
}

/// Chances, from 0 to 1, of faults that come unscripted.
public struct FaultMix: Hashable, Sendable {
    public var drop = 0.0
    public var duplicate = 0.0
    public var swap = 0.0
    public var failAppend = 0.0
    public var loseReply = 0.0
    public var failRead = 0.0

    public init() {}

    /// Every kind, often enough that none is missing after a hundred messages.
    public static var rough: Self {
        var mix = Self()
        (mix.drop, mix.duplicate, mix.swap) = (0.1, 0.1, 0.1)
        (mix.failAppend, mix.loseReply, mix.failRead) = (0.05, 0.05, 0.1)
        return mix
    }
}

extension DriverError {
    /// What a broken link looks like.
    public static func injected(during operation: StaticString, after: Duration = .milliseconds(10)) -> Self {
        Self(.unreachable, during: operation, recovery: .retry(after: after), detail: "injected fault")
    }
}

/// Decides which fault comes next: scripted ones first, then by chance from a seed. A value, so a schedule can be replayed.
struct FaultPlan {
    var deliveries: [DeliveryFault] = []
    var appends: [AppendFault] = []
    var reads: [ReadFault] = []
    var mix: FaultMix
    private var random: SplitMix64

    init(mix: FaultMix, seed: UInt64) {
        self.mix = mix
        self.random = SplitMix64(seed: seed)
    }

    mutating func nextDelivery() -> DeliveryFault {
        if !self.deliveries.isEmpty { return self.deliveries.removeFirst() }
        let chance = self.chance()
        if chance < self.mix.drop { return .drop }
        if chance < self.mix.drop + self.mix.duplicate { return .duplicate }
        return chance < self.mix.drop + self.mix.duplicate + self.mix.swap ? .swap : .pass
    }

    mutating func nextAppend() -> AppendFault {
        if !self.appends.isEmpty { return self.appends.removeFirst() }
        let chance = self.chance()
        if chance < self.mix.failAppend { return .fail(.injected(during: "append")) }
        return chance < self.mix.failAppend + self.mix.loseReply ? .loseReply : .pass
    }

    mutating func nextRead() -> ReadFault {
        if !self.reads.isEmpty { return self.reads.removeFirst() }
        return self.chance() < self.mix.failRead ? .fail(.injected(during: "read")) : .pass
    }

    private mutating func chance() -> Double {
        self.mix == FaultMix() ? 1 : Double.random(in: 0..<1, using: &self.random)
    }
}

/// A small generator whose whole state is its seed.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) {
        self.state = seed
    }

    public mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
