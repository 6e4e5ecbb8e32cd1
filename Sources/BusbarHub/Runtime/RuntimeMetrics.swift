import Metrics

/// What a runtime counts. `docs/metrics.md` says which counter of the original each of them is.
struct RuntimeMetrics: Sendable {
    let delivered = Counter(label: "busbar_hub_messages_delivered_total")
    let invocations = Counter(label: "busbar_hub_invocations_total")
    let failures = Counter(label: "busbar_hub_invocation_failures_total")
    let messagesFromClients = Counter(label: "busbar_hub_messages_from_clients_total")
    let connected = Counter(label: "busbar_hub_connected_total")
    let reconnected = Counter(label: "busbar_hub_reconnected_total")
    let returned = Counter(label: "busbar_hub_returned_total")
    let disconnected = Counter(label: "busbar_hub_disconnected_total")
    let unresolvedHubs = Counter(label: "busbar_hub_resolution_failures_total")
    let brokenTransports = Counter(label: "busbar_hub_transport_failures_total")
    let slowConsumers = Counter(label: "busbar_hub_slow_consumers_total")
    let poison = Counter(label: "busbar_hub_poison_records_total")
    let gaps = Counter(label: "busbar_hub_gaps_total")
    let batchMessages = Recorder(label: "busbar_hub_batch_messages")
    private let coreConnections: [Meter]
    private let classicConnections: [Meter]

    init() {
        func meters(_ generation: String) -> [Meter] {
            ConnectionTransport.all.map {
                Meter(
                    label: "busbar_hub_connections",
                    dimensions: [("protocol", generation), ("transport", $0.rawValue)])
            }
        }
        self.coreConnections = meters("core")
        self.classicConnections = meters("classic")
    }

    func connections(_ format: WireFormat, _ transport: ConnectionTransport) -> Meter {
        let index = ConnectionTransport.all.firstIndex(of: transport) ?? 0
        switch format {
        case .coreJSONWebSocket: return self.coreConnections[index]
        case .classic: return self.classicConnections[index]
        }
    }
}

extension ConnectionTransport {
    fileprivate static let all: [Self] = [.webSockets, .serverSentEvents, .longPolling, .foreverFrame]
}
