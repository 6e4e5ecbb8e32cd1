import Busbar
import Metrics

/// What a node counts of the others.
struct NodeMetrics: Sendable {
    /// Nodes that are alive, this one included.
    let alive = Gauge(label: "busbar_nodes")
    private let left = Self.departures(.left)
    private let silent = Self.departures(.silent)
    private let restarted = Self.departures(.restarted)

    func departed(_ why: Membership.Departure) {
        switch why {
        case .left: self.left.increment()
        case .silent: self.silent.increment()
        case .restarted: self.restarted.increment()
        }
    }

    private static func departures(_ why: Membership.Departure) -> Counter {
        Counter(label: "busbar_node_departures_total", dimensions: [("why", why.rawValue)])
    }
}
