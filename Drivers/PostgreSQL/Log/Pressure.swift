/// How busy the server is with others, and how much rest it gets for that between two appends.
///
/// Two things have to come together. The server itself says how many sessions are at work on it; beyond our own share those are
/// others. And appends take longer than they need, judged by the quickest of late, as a congestion control does that listens to
/// delays: on a large server others at work are in nobody's way.
struct Pressure {
    typealias Instant = ContinuousClock.Instant

    /// A server has others to serve when as many of their sessions are at work all the time.
    static let crowd = 2
    /// What a byte may take beyond the quickest append: a millisecond for 16 kB, of which a server at leisure needs a third.
    static let perByte = Duration.nanoseconds(60)
    /// How much rest there is for each millisecond that appends wait.
    static let factor = 40
    /// The quickest append is sought among those of one to two such spans.
    static let span = Duration.seconds(10)

    /// Readings that follow each other more closely are no measure: a session's work is added to the server's statistics once a second,
    /// and a second of our own would pass for that of many others.
    static let shortestReading = Duration.milliseconds(1_500)

    private let longestRest: Duration
    private var quickest: Duration?
    private var quickestBefore: Duration?
    private var spanEnds: Instant?
    private var waits = Duration.zero
    private var reading: (work: Duration, at: Instant)?
    private var ownWork = Duration.zero
    private var servesOthers = false

    init(longestRest: Duration) {
        self.longestRest = longestRest
    }

    /// - Parameter work: how long sessions of the whole server have been at work together since some time or other; nil from a server
    ///   that doesn't tell.
    mutating func noted(work: Duration?, at now: Instant) {
        if let work, let last = self.reading, work >= last.work, now - last.at < Self.shortestReading { return }
        let (last, own) = (self.reading, self.ownWork)
        self.reading = work.map { ($0, now) }
        self.ownWork = .zero
        self.servesOthers = false
        // Why not below: somebody has set the server's statistics back.
        guard let work, let last, work >= last.work else { return }
        self.servesOthers = work - last.work - own >= (now - last.at) * Self.crowd
    }

    /// - Returns: how long the next append had better wait; zero while the server has nobody else to serve, or is at leisure.
    mutating func rest(after taken: Duration, bytes: Int, at now: Instant) -> Duration {
        self.ownWork += taken
        if self.spanEnds.map({ $0 <= now }) ?? true {
            self.quickestBefore = self.quickest
            self.quickest = nil
            self.spanEnds = now + Self.span
        }
        self.quickest = min(self.quickest ?? taken, taken)
        let quickest = min(self.quickest ?? taken, self.quickestBefore ?? taken)
        let wait = max(taken - quickest - Self.perByte * bytes, .zero)
        // Why an average of bounded ones: a single late append is a checkpoint, or a thread that was woken late. Why it falls slowly: a
        // busy server lets many a short append go first, and is no less busy for it.
        let bounded = min(wait, .milliseconds(2))
        self.waits += (bounded - self.waits) / (bounded > self.waits ? 8 : 64)
        return self.servesOthers ? min(self.waits * Self.factor, self.longestRest) : .zero
    }
}
