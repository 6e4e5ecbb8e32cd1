package import BusbarDriver

/// What the things of one app are called on its broker.
///
/// Queues are bound to the app's exchange by a key that names stream and epoch. Bindings die with their queue, so whoever still
/// publishes for an epoch that is over is told at once that there is nobody for it.
package struct LogNames: Hashable, Sendable {
    package let exchange: String
    private let prefix: String

    package init(app: String) {
        self.exchange = "busbar.\(app)"
        self.prefix = "busbar.\(app)."
    }

    package func queue(of stream: StreamID) -> String {
        self.prefix + String(stream.index)
    }

    package static func key(of stream: StreamID, _ epoch: Epoch) -> String {
        "\(stream.index).\(String(epoch.rawValue, radix: 16))"
    }

    /// The epoch in a key, nil when it isn't one of `stream`.
    package static func epoch(inKey key: some Collection<UInt8>, of stream: StreamID) -> Epoch? {
        let text = String(decoding: key.prefix(32), as: UTF8.self)
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, UInt16(parts[0]) == stream.index, let value = UInt64(parts[1], radix: 16) else {
            return nil
        }
        return Epoch(value)
    }
}
