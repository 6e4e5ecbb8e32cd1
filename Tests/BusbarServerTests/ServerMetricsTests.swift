import BusbarHub
import BusbarServer
import Metrics
import MetricsTestKit
import NIOCore
import Testing

/// The counters of the original, under the names that `docs/metrics.md` gives them.
@Suite("What a server counts", .timeLimit(.minutes(2)))
struct ServerMetricsTests {
    private static func connections(_ metrics: TestMetrics, _ transport: String) -> Double? {
        metrics.meters(
            label: "busbar_hub_connections", dimensions: [("protocol", "classic"), ("transport", transport)]
        ).first?.lastValue
    }

    @Test("§7.11 connections by transport, events, messages both ways, errors, and what the bus carries")
    func counters() async throws {
        let metrics = TestMetrics()
        try await withMetricsFactory(metrics) {
            try await TestServer.cases { server, diary, _ in
                var clients: [any ClassicTestClient] = []
                for transport in ClassicTransport.allCases { clients.append(try await transport.started(server)) }
                for name in ["WebSockets", "ServerSentEvents", "ForeverFrame", "LongPolling"] {
                    #expect(Self.connections(metrics, name) == 1, "\(name)")
                }
                #expect(metrics.counterTotal(label: "busbar_hub_connected_total") == 4)
                for number in 0..<10 { _ = try await clients[0].result(of: "send", "[\"\(number)\"]") }
                for client in clients { _ = try await client.everything(until: "[\"9\"]") }
                #expect(metrics.counterTotal(label: "busbar_hub_messages_from_clients_total") == 10)
                #expect(metrics.counterTotal(label: "busbar_hub_invocations_total") == 10)
                // Why a wait: what is counted once per batch, or behind an answer, may be counted after it was read.
                try await server.wait(for: "the last delivery to be counted") {
                    metrics.counterTotal(label: "busbar_hub_messages_delivered_total") == 40
                }

                _ = try await clients[1].result(of: "fail", #"["no"]"#)
                try await server.wait(for: "the failure to be counted") {
                    metrics.counterTotal(label: "busbar_hub_invocation_failures_total") == 1
                }
                let call = ClassicClient.encoded(#"{"H":"nobody","M":"x","A":[],"I":0}"#)
                _ = try await server.get("/signalr/send?\(clients[1].query)&data=\(call)")
                #expect(metrics.counterTotal(label: "busbar_hub_resolution_failures_total") == 1)

                let broken = metrics.counterTotal(label: "busbar_hub_transport_failures_total")
                clients[0].close()
                try await server.wait(for: "the broken link") {
                    metrics.counterTotal(label: "busbar_hub_transport_failures_total") > broken
                }
                try await clients[0].open("reconnect")
                try await server.wait(for: "the event") { diary.count("reconnected") == 1 }
                #expect(metrics.counterTotal(label: "busbar_hub_reconnected_total") == 1)
                #expect(Self.connections(metrics, "WebSockets") == 1)

                try await server.wait(for: "the counters of the bus, which are written once in a while") {
                    metrics.counterTotal(label: "busbar.published") >= 10
                        && metrics.counterTotal(label: "busbar.delivered") >= 10
                        && (try? metrics.expectMeter("busbar_hub_topics").lastValue ?? 0) ?? 0 > 0
                        && (try? metrics.expectGauge("busbar.publish.waiting.bytes").lastValue) == 0
                }
                #expect(metrics.counterTotal(label: "busbar.publish.failed") == 0)
                #expect(try metrics.expectGauge("busbar_server_connections").lastValue ?? 0 > 0)
                try await server.wait(for: "the bytes of the second") {
                    metrics.counterTotal(label: "busbar_server_outbound_bytes") > 0
                }

                for client in clients {
                    _ = try await client.abort()
                    client.close()
                }
                try await server.waitUntilNothingIsLeft()
                #expect(try metrics.expectGauge("busbar_server_connections").lastValue == 0)
                #expect(metrics.counterTotal(label: "busbar_hub_disconnected_total") == 4)
                try await server.wait(for: "the topics of the second") {
                    (try? metrics.expectMeter("busbar_hub_topics").lastValue) == 0
                }
                for name in ["WebSockets", "ServerSentEvents", "ForeverFrame", "LongPolling"] {
                    #expect(Self.connections(metrics, name) == 0, "\(name)")
                }
            }
        }
    }
}
