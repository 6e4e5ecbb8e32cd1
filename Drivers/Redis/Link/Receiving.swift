package import BusbarDriver
import NIOCore

/// Sorts what a subscribed connection receives: joins the batches of one read into one delivery, and holds back what
/// arrives before the link is live.
///
/// A value without I/O.
package struct Receiving {
    /// Records of one stream and epoch, in the order of their arrival.
    package struct Delivery: Hashable {
        package let stream: StreamID
        package let epoch: Epoch
        package var records: [StoredRecord]
        package var last: SeenMark
    }

    package enum Outcome: Hashable {
        case nothing
        /// One more subscription is confirmed.
        case subscribed
        case probe(UInt64)
        case deliver(Delivery)
    }

    private enum Channel {
        case live(StreamID)
        case probe
    }

    /// Why so little: what is missing is read from the log, once, in pages; holding more would only repeat that.
    private let heldLimitBytes: Int
    private let channels: [ByteBuffer: Channel]
    private var isLive = false
    private var held: [Delivery] = []
    private var heldBytes = 0
    private var gathering: Delivery?
    /// Messages that were no batch of ours.
    package private(set) var malformedCount = 0

    package init(channels: [StreamID: String], probeChannel: String, heldLimitBytes: Int = 1 << 20) {
        var table: [ByteBuffer: Channel] = [ByteBuffer(string: probeChannel): .probe]
        for (stream, channel) in channels { table[ByteBuffer(string: channel)] = .live(stream) }
        self.channels = table
        self.heldLimitBytes = heldLimitBytes
    }

    /// Takes a pushed array of three.
    package mutating func pushed(_ parts: [RedisReply]) -> Outcome {
        guard parts.count == 3, let name = parts[1].bulk, let channel = self.channels[name] else { return .nothing }
        guard let payload = parts[2].bulk else { return .subscribed }
        switch channel {
        case .probe:
            return UInt64(String(buffer: payload)).map(Outcome.probe) ?? .nothing
        case .live(let stream):
            guard let batch = LiveBatch(payload) else {
                self.malformedCount += 1
                return .nothing
            }
            return self.gather(batch, of: stream).map(Outcome.deliver) ?? .nothing
        }
    }

    /// The read that brought the last messages is over: what has been gathered from it.
    package mutating func readCompleted() -> Delivery? {
        guard self.isLive else { return nil }
        defer { self.gathering = nil }
        return self.gathering
    }

    /// The link is live: what was held back.
    package mutating func wentLive() -> [Delivery] {
        self.isLive = true
        defer {
            self.held = []
            self.heldBytes = 0
            self.gathering = nil
        }
        return self.held + [self.gathering].compactMap(\.self)
    }

    /// The connection is gone, and with it whatever has not been delivered.
    package mutating func reset() {
        self.isLive = false
        self.held = []
        self.heldBytes = 0
        self.gathering = nil
    }

    private mutating func gather(_ batch: LiveBatch, of stream: StreamID) -> Delivery? {
        let next = Delivery(stream: stream, epoch: batch.epoch, records: batch.records, last: batch.last)
        if !self.isLive {
            let byteCount = batch.records.reduce(0) { $0 + $1.bytes.readableBytes }
            // Why dropping is safe: the bus sees the hole and reads it from the log.
            guard self.heldBytes + byteCount <= self.heldLimitBytes else { return nil }
            self.heldBytes += byteCount
            self.held.append(next)
            return nil
        }
        guard var gathering = self.gathering, gathering.stream == stream, gathering.epoch == batch.epoch else {
            defer { self.gathering = next }
            return self.gathering
        }
        self.gathering = nil
        gathering.records.append(contentsOf: batch.records)
        gathering.last = batch.last
        self.gathering = gathering
        return nil
    }
}
