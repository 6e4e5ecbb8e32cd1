import BusbarDriver
import NIOCore

/// Looks into stream queues: consumers that are made and cancelled at once.
///
/// The broker sends what there is, as far as the prefetch count allows and the rest of a chunk besides, before it answers the
/// cancellation. So an answered look has seen the end of the log if it was not stopped by its prefetch count.
final class LogReader {
    struct Probe {
        let start: StreamStart
        let prefetch: UInt16
        /// How many bytes of records are wanted; messages behind that are left out.
        var limitBytes = Int.max
        /// How many messages are wanted at most.
        var limitCount = Int.max
        /// Messages before this place aren't wanted.
        var floor: UInt64 = 0

        init(start: StreamStart, prefetch: UInt16, limitBytes: Int = .max, limitCount: Int = .max) {
            self.start = start
            self.prefetch = prefetch
            self.limitBytes = limitBytes
            self.limitCount = limitCount
        }

        /// What lies at `place` and behind it.
        ///
        /// Why it begins one earlier: RabbitMQ may skip a message that is just being written when a consumer asks for it, but not
        /// one behind a message that is there.
        init(from place: UInt64, prefetch: UInt16, limitBytes: Int) {
            self.start = .place(place - min(1, place))
            self.prefetch = prefetch
            self.limitBytes = limitBytes
            self.floor = place
        }

        /// The oldest message there is.
        static let oldest = Self(start: .first, prefetch: 1, limitCount: 1)
        /// The newest messages, without their records.
        static let newest = Self(start: .last, prefetch: 1)
    }

    typealias Completion = (Result<[[LogEntry]], AMQPFault>) -> Void

    private final class Look {
        let stream: StreamID
        let probes: [Probe]
        var findings: [[LogEntry]]
        var bytes: [Int]
        var completion: Completion?

        init(_ stream: StreamID, _ probes: [Probe], _ completion: @escaping Completion) {
            self.stream = stream
            self.probes = probes
            self.findings = probes.map { _ in [] }
            self.bytes = probes.map { _ in 0 }
            self.completion = completion
        }

        func take(_ entry: LogEntry, at index: Int) {
            let probe = self.probes[index]
            guard entry.place >= probe.floor else { return }
            let isWithin = self.bytes[index] == 0 || self.bytes[index] < probe.limitBytes
            guard self.findings[index].count < probe.limitCount, isWithin else { return }
            self.findings[index].append(entry)
            if case .batch(_, let records) = entry.content {
                self.bytes[index] += records.reduce(0) { $0 + $1.readableBytes }
            }
        }
    }

    static let limit = 256

    private let connection: AMQPConnection
    private let channel: UInt16
    private let names: LogNames
    private var looks: [UInt64: Look] = [:]
    private var lastLook: UInt64 = 0
    private var lastTag: UInt64 = 0

    init(_ connection: AMQPConnection, channel: UInt16, names: LogNames) {
        self.connection = connection
        self.channel = channel
        self.names = names
    }

    /// Makes the probes one after the other.
    func look(
        into stream: StreamID, _ probes: [Probe], by deadline: ContinuousClock.Instant, completion: @escaping Completion
    ) {
        guard self.looks.count < Self.limit else {
            return completion(.failure(.channelClosed(code: 506, text: "too many reads are under way already")))
        }
        if !self.connection.isOpen(self.channel) {
            self.connection.send(.openChannel, on: self.channel, by: deadline)
            self.lastTag = 0
        }
        self.lastLook += 1
        let number = self.lastLook
        self.looks[number] = Look(stream, probes, completion)
        for (index, probe) in probes.enumerated() {
            let tag = "\(number).\(index)"
            self.connection.send(.setPrefetch(probe.prefetch), on: self.channel, by: deadline)
            let consume = AMQPRequest.consume(queue: self.names.queue(of: stream), tag: tag, from: probe.start)
            self.connection.send(consume, on: self.channel, by: deadline) { result in
                guard case .success = result else { return self.finish(number, result) }
                // Why not earlier: a cancellation that RabbitMQ 3.10 meets before it has answered the consumer ends its channel.
                self.connection.send(.cancel(tag: tag), on: self.channel, by: deadline) { result in
                    if case .success = result, index < probes.count - 1 { return }
                    self.finish(number, result)
                }
            }
        }
    }

    func received(_ delivery: AMQPDelivery) {
        self.lastTag = max(self.lastTag, delivery.tag)
        let tag = String(buffer: delivery.consumer).split(separator: ".")
        guard tag.count == 2, let number = UInt64(tag[0]), let index = Int(tag[1]), let look = self.looks[number],
            look.probes.indices.contains(index), let entry = LogEntry(delivery, of: look.stream)
        else { return }
        look.take(entry, at: index)
    }

    private func finish(_ number: UInt64, _ result: Result<Void, AMQPFault>) {
        guard let look = self.looks.removeValue(forKey: number), let completion = look.completion else { return }
        look.completion = nil
        if case .success = result, self.lastTag > 0 {
            // Why after the cancellation: an acknowledgement before it would ask for more.
            self.connection.acknowledge(upTo: self.lastTag, on: self.channel)
            self.lastTag = 0
        }
        completion(result.map { look.findings })
    }
}
