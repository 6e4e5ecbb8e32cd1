/// How busy the server is with others, judged by how long appends take, and how much rest it gets for that between two of them.
///
/// As a congestion control that listens to delays does it: the quickest append of late says what one takes when nobody is in its
/// way. What appends take beyond a few times that, on average, they waited for somebody else.
struct Pressure {
    typealias Instant = ContinuousClock.Instant

    /// How many times as long as the quickest an append may take before anybody is taken to be in its way.
    static let tolerance = 4
    /// What a byte may take besides: a millisecond for 16 kB, of which a server at leisure needs a third.
    static let perByte = Duration.nanoseconds(60)
    /// How much rest there is for each millisecond that appends wait.
    static let factor = 20
    /// The quickest append is sought among those of one to two such spans.
    static let span = Duration.seconds(10)

    private let longestRest: Duration
    private var quickest: Duration?
    private var quickestBefore: Duration?
    private var spanEnds: Instant?
    private var waits = Duration.zero

    init(longestRest: Duration) {
        self.longestRest = longestRest
    }

    /// - Returns: how long the next append had better wait; zero while the server is at leisure.
    mutating func rest(after taken: Duration, bytes: Int, at now: Instant) -> Duration {
        if self.spanEnds.map({ $0 <= now }) ?? true {
            self.quickestBefore = self.quickest
            self.quickest = nil
            self.spanEnds = now + Self.span
        }
        self.quickest = min(self.quickest ?? taken, taken)
        let quickest = min(self.quickest ?? taken, self.quickestBefore ?? taken)
        let wait = max(taken - quickest * Self.tolerance - Self.perByte * bytes, .zero)
        // Why an average of bounded ones: a single late append is a checkpoint, or a thread that was woken late.
        self.waits += (min(wait, .milliseconds(2)) - self.waits) / 8
        return min(self.waits * Self.factor, self.longestRest)
    }
}
