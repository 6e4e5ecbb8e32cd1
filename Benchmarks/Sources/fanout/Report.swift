import CLoad
import Glibc

/// Tables of medians.
enum Report {
    static func header(connections: Int, rounds: Int) {
        puts("\(connections) WebSocket connections over loopback, 100-byte text, one event loop, \(rounds) rounds of")
        puts("alternating blocks of 40 broadcasts; medians; the ratio is the median of the ratios of each round.")
    }

    static func write(_ table: [(name: String, samples: [Sample])], messages: Int) {
        puts("\n\(messages) message\(messages == 1 ? "" : "s") per flush")
        puts(Self.row(["", "loop CPU ns", "to bare", "wall ns", "allocations", "allocations", "bytes", "messages"]))
        puts(Self.row(["", "/delivery", "", "/delivery", "/delivery", "/batch", "/delivery", "/read"]))
        guard let floor = table.first?.samples else { return }
        for (name, samples) in table {
            let ratios = zip(samples, floor).map {
                Double($0.cpuNanoseconds) / Double($0.deliveries) / (Double($1.cpuNanoseconds) / Double($1.deliveries))
            }
            puts(
                Self.row([
                    name,
                    Self.number(Self.median(samples.map { Double($0.cpuNanoseconds) / Double($0.deliveries) }), 0),
                    Self.number(Self.median(ratios), 2),
                    Self.number(Self.median(samples.map { Double($0.wallNanoseconds) / Double($0.deliveries) }), 0),
                    Self.number(Self.median(samples.map { Double($0.allocations) / Double($0.deliveries) }), 3),
                    Self.number(Self.median(samples.map { Double($0.allocations) / Double($0.batches) }), 0),
                    Self.number(Self.median(samples.map { Double($0.received.bytes) / Double($0.deliveries) }), 1),
                    Self.number(
                        Self.median(samples.map { Double($0.received.messages) / Double($0.received.reads) }), 1),
                ]))
        }
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return .nan }
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    private static func number(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite else { return "-" }
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        let scaled = Int((value * scale).rounded())
        guard decimals > 0 else { return String(scaled) }
        let fraction = String(scaled % Int(scale))
        return "\(scaled / Int(scale))." + String(repeating: "0", count: decimals - fraction.count) + fraction
    }

    private static func row(_ cells: [String]) -> String {
        cells.enumerated().map { index, cell in
            let padding = String(repeating: " ", count: max(0, (index == 0 ? 24 : 12) - cell.count))
            return index == 0 ? cell + padding : padding + cell
        }.joined()
    }
}
