import BusbarDriver
import NIOCore

/// Packs what applications left in a driver's outbox as the bus packs what is published to it.
struct BusOutboxPacker: OutboxPacker {
    let streamCount: Int

    var overheadBytes: Int { Pack.headerBytes }

    func stream(of topic: String) -> StreamID {
        StreamID(UInt16(Topic(topic).streamIndex(of: self.streamCount)))
    }

    func byteCount(of message: OutboxMessage) -> Int {
        Pack.bytes(of: Message(topic: Topic(message.topic), payload: message.payload))
    }

    func bytes(of messages: [OutboxMessage], key: RecordKey) -> ByteBuffer {
        Pack.encode(messages.map { Message(topic: Topic($0.topic), payload: $0.payload) }, key: key)
    }
}
