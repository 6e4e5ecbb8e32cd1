package import BusbarDriver

/// How the broker, or the way to it, ended a channel or a connection.
package enum AMQPFault: Error, Hashable {
    case channelClosed(code: UInt16, text: String)
    case connectionClosed(code: UInt16, text: String)
    /// The connection broke, in the library's words.
    case lost(String)

    /// The connection itself goes on.
    package var isOfChannel: Bool { if case .channelClosed = self { true } else { false } }

    package func driverError(during operation: StaticString) -> DriverError {
        switch self {
        case .lost(let text):
            return .lost(text, during: operation)
        case .channelClosed(let code, let text), .connectionClosed(let code, let text):
            switch code {
            case 403:
                return DriverError(
                    .unauthorized, during: operation, recovery: .giveUp,
                    detail: "\(text); wanted: right credentials, and the rights to configure, write and read "
                        + "everything named busbar.* on this virtual host")
            case 406 where text.contains("replica on the local node"):
                // Why a retry: so it says of a queue that is just being made, too.
                return .lost(text, during: operation)
            case 406:
                return DriverError(
                    .rejected, during: operation, recovery: .giveUp, detail: text + Self.remedy(for: text))
            case 311:
                return DriverError(.recordTooLarge, during: operation, recovery: .giveUp, detail: text)
            case 530, 540, 503, 505:
                return DriverError(.rejected, during: operation, recovery: .giveUp, detail: text)
            case 506:
                return DriverError(
                    .overloaded, during: operation, recovery: .retry(after: .milliseconds(250)), detail: text)
            default:
                return .lost(text, during: operation)
            }
        }
    }
}

extension AMQPFault {
    /// What would be right where the broker doesn't accept how something is declared.
    private static func remedy(for refusal: String) -> String {
        if refusal.contains("x-queue-type") || refusal.contains("queue type") || refusal.contains("feature flag") {
            return
                "; wanted: RabbitMQ 3.9 or later with stream queues (rabbitmqctl enable_feature_flag stream_queue), and "
                + "no other queue of this name"
        }
        guard refusal.contains("inequivalent arg 'x-") else { return "" }
        return
            "; wanted: the same retainedBytes, retainedSeconds and segmentBytes on every node, or the queue deleted, "
            + "with what is in it"
    }
}

extension DriverError {
    static func lost(_ detail: String, during operation: StaticString = "run") -> Self {
        Self(.unreachable, during: operation, recovery: .retry(after: .milliseconds(20)), detail: detail)
    }

    /// The same error as seen from another operation.
    func during(_ operation: StaticString) -> Self {
        Self(self.code, during: operation, recovery: self.recovery, detail: self.detail)
    }
}
