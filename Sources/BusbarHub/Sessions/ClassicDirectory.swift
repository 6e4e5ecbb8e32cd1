import NIOCore
import Synchronization

/// Where each classic connection of this node lives: it moves to the event loop of its newest channel.
///
/// A ticket names one life of a connection. Its id may begin a new life while the disconnected event of the old one
/// runs.
final class ClassicDirectory: Sendable {
    typealias Ticket = UInt64

    enum Claim {
        case new(Ticket)
        /// It has to be fetched from where it is.
        case known(Ticket, at: LoopHandle)
        /// A newer channel has claimed the connection.
        case stale
        /// Its client has ended it; what still comes was on its way.
        case over
        /// There are as many connections as there may be.
        case full
    }

    struct Home {
        var handle: LoopHandle
        var newest: ClassicLifecycle.Channel
        /// Whether requests of other nodes about the connection are for this one: not yet, as long as the node that had
        /// it may serve them.
        var isOwned: Bool
        /// Whether its client has been told where it stands, as those are that come from another node.
        var isSequel: Bool
    }

    struct State {
        var tickets: [String: Ticket] = [:]
        var homes: [Ticket: Home] = [:]
        var last: Ticket = 0
        /// Connections that their clients have ended, on whatever node. Only `/connect` begins such a connection anew, and here
        /// alone: of other claims nobody knows whether they were made before the end.
        var ended = RecentIDs(limit: 4_096)
        /// How many of their ends wait for the broker to take them.
        var announcing = 0
    }

    private let limit: Int
    let state = Mutex(State())

    /// - Parameter limit: how many connections there may be, those that are ending included.
    init(limit: Int) {
        self.limit = limit
    }

    /// Makes `handle` the home of the connection, for a channel of the newest number that the connection has seen.
    ///
    /// - Parameter isOwned: of a connection that was not known: whether no other node can have it, since it begins.
    func claim(
        _ id: String, for handle: LoopHandle, channel: ClassicLifecycle.Channel, isOwned: Bool = true
    ) -> Claim {
        self.state.withLock { state in
            var home = Home(handle: handle, newest: channel, isOwned: isOwned, isSequel: !isOwned)
            if let ticket = state.tickets[id], let old = state.homes[ticket] {
                guard old.newest <= channel else { return .stale }
                home.isOwned = old.isOwned
                home.isSequel = home.isSequel || old.isSequel
                state.homes[ticket] = home
                return .known(ticket, at: old.handle)
            }
            if isOwned { state.ended.remove(id) } else if state.ended.contains(id) { return .over }
            guard state.homes.count < self.limit else { return .full }
            state.last += 1
            state.tickets[id] = state.last
            state.homes[state.last] = home
            return .new(state.last)
        }
    }

    func ticket(of id: String) -> Ticket? { self.state.withLock { $0.tickets[id] } }

    func owns(_ id: String) -> Bool {
        self.state.withLock { state in state.tickets[id].flatMap { state.homes[$0]?.isOwned } ?? false }
    }

    /// The log says that the connection lives here.
    func confirm(_ id: String) {
        self.state.withLock { state in
            if let ticket = state.tickets[id] { state.homes[ticket]?.isOwned = true }
        }
    }

    /// The connection lives on another node from here on. The id is free.
    /// - Parameter toBeginning: whether it began there. That is late news where it has gone on.
    /// - Returns: what is left of it here; nil also when it has come back here since, which the log is about to say.
    func release(_ id: String, toBeginning: Bool) -> Ticket? {
        self.state.withLock { state in
            guard let ticket = state.tickets[id], let home = state.homes[ticket], home.isOwned,
                !(toBeginning && home.isSequel)
            else { return nil }
            state.tickets[id] = nil
            return ticket
        }
    }

    /// The client of a connection has ended it, wherever it lives. The id is free.
    /// - Returns: what is left of it here, even if it has only just come here.
    func end(_ id: String) -> Ticket? {
        self.state.withLock { state in
            state.ended.insert(id)
            return state.tickets.removeValue(forKey: id)
        }
    }

    /// Remembers that its client ends a connection of this node. To be called before it is over.
    func remember(ended id: String) { self.state.withLock { $0.ended.insert(id) } }

    /// Whether its client has ended the connection, as far as is remembered, and it has not begun anew here.
    func hasEnded(_ id: String) -> Bool { self.state.withLock { $0.ended.contains(id) } }

    /// An end is about to be announced. False if as many as may be are.
    func beginAnnouncing() -> Bool {
        self.state.withLock { state in
            guard state.announcing < Self.announcingLimit else { return false }
            state.announcing += 1
            return true
        }
    }

    func endAnnouncing() { self.state.withLock { $0.announcing -= 1 } }

    private static let announcingLimit = 1_000

    func home(of ticket: Ticket) -> LoopHandle? { self.state.withLock { $0.homes[ticket]?.handle } }

    /// The life is over but for what still runs, which stays on `handle`. The id is free.
    /// - Returns: the loop that had been claimed for it meanwhile, where it is waited for in vain.
    func retire(_ id: String, _ ticket: Ticket, on handle: LoopHandle) -> LoopHandle? {
        self.state.withLock { state in
            if state.tickets[id] == ticket { state.tickets[id] = nil }
            guard let home = state.homes[ticket]?.handle else { return nil }
            state.homes[ticket]?.handle = handle
            return home === handle ? nil : home
        }
    }

    func forget(_ ticket: Ticket) {
        self.state.withLock { $0.homes[ticket] = nil }
    }

    /// Runs `body` with the connection, on the loop where it lives or is about to arrive; with nil if its life is over.
    func perform(_ ticket: Ticket, _ body: @escaping @Sendable (ClassicSession?) -> Void) {
        guard let handle = self.home(of: ticket) else { return body(nil) }
        handle.eventLoop.execute {
            let loop = handle.session.value
            if let session = loop.classicSession(ticket) { return body(session) }
            if loop.await(ticket, .perform(body)) { return }
            // Why: it has moved on since, or it is over; asking again finds out.
            if let home = self.home(of: ticket), home !== handle { return self.perform(ticket, body) }
            body(nil)
        }
    }
}

/// Whether a classic connection is on an event loop, or on its way to it from another one.
enum ClassicPresence {
    /// What a connection has to do when it arrives.
    enum Errand {
        case open(ClassicChannel)
        case perform(@Sendable (ClassicSession?) -> Void)
    }

    case here(ClassicSession)
    case arriving([Errand])
}

extension SessionLoop {
    /// The connection, if it is here and not on its way.
    func classicSession(_ ticket: ClassicDirectory.Ticket) -> ClassicSession? {
        if case .here(let session) = self.classic[ticket] { session } else { nil }
    }

    /// What waits for a connection that is on its way, which is no longer expected.
    func takeErrands(_ ticket: ClassicDirectory.Ticket) -> [ClassicPresence.Errand] {
        guard case .arriving(let errands) = self.classic[ticket] else { return [] }
        self.classic[ticket] = nil
        return errands
    }

    /// Has an errand wait for a connection that is on its way. False if it isn't.
    func await(_ ticket: ClassicDirectory.Ticket, _ errand: ClassicPresence.Errand) -> Bool {
        guard case .arriving(var errands) = self.classic[ticket] else { return false }
        errands.append(errand)
        self.classic[ticket] = .arriving(errands)
        return true
    }
}
