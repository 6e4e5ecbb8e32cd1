import Synchronization

/// What a runtime keeps because of its connections. All of it is zero when there is none and nothing is under way.
package struct RuntimeCensus: Hashable, Sendable {
    /// Sessions of both generations, those that are ending included.
    package var sessions = 0
    /// Places of classic connections on event loops, also of ones that are awaited there.
    package var classicPlaces = 0
    /// Ids by which classic connections are found, and the homes of those that are ending as well.
    package var classicIDs = 0, classicHomes = 0
    /// Core connections that other nodes may ask about.
    package var coreIDs = 0
    /// Who is sent to, and the topics that somebody is sent to for.
    package var recipients = 0, topics = 0
    /// What waits for a loop to come to a place in the stream.
    package var arrivals = 0
    /// Requests to other nodes and of other nodes.
    package var requests = 0

    package init() {}
}

extension HubRuntime {
    /// Counts loop by loop: exact when nothing moves meanwhile.
    package func census() async -> RuntimeCensus {
        var census = await self.loopCensus()
        (census.classicIDs, census.classicHomes) = self.classicDirectory.counts
        census.coreIDs = self.services.connections.coreCount
        census.requests = self.services.nodes.requestCount
        return census
    }
}

extension ClassicDirectory {
    var counts: (ids: Int, homes: Int) { self.state.withLock { ($0.tickets.count, $0.homes.count) } }
}

extension LocalConnections {
    var coreCount: Int { self.core.withLock { $0.count } }
}

extension NodeExchange {
    /// Requests that wait for an answer, or that are being answered.
    var requestCount: Int {
        self.state.withLock { max($0.slots.count, $0.asked.count) + $0.serving.count + $0.passages.count }
    }
}

extension SessionLoop {
    func count(into census: inout RuntimeCensus) {
        census.sessions += self.sessionCount
        census.classicPlaces += self.classic.count
        census.recipients += self.recipientCount
        census.topics += self.topicCount
        census.arrivals += self.arrivalCount
    }
}
