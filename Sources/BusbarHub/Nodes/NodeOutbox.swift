import Busbar
import DequeModule
import NIOCore

/// What waits to be sent to other nodes: answers, those for one node gathered into one record, and records as they are.
struct NodeOutbox: Sendable {
    private enum Item: Sendable {
        case reply(NodeID, NodeReplies.Entry, bytes: Int)
        case record(Topic, ByteBuffer)
    }

    /// Bytes of answers that one record gathers, roughly.
    private static let recordBytes = 256 << 10

    private var items: Deque<Item> = []
    private var bytes = 0
    private let limitBytes: Int

    init(limitBytes: Int = 16 << 20) {
        self.limitBytes = limitBytes
    }

    var isEmpty: Bool { self.items.isEmpty }

    /// False if it is full. Whoever waits for the answer learns of it by its deadline.
    mutating func reply(_ entry: NodeReplies.Entry, to node: NodeID) -> Bool {
        let bytes =
            switch entry.verdict {
            case .declined, .coming: 32
            case .answer(let answer): 32 + answer.bytes
            }
        return self.put(.reply(node, entry, bytes: bytes), bytes: bytes)
    }

    mutating func send(_ record: ByteBuffer, to topic: Topic) -> Bool {
        self.put(.record(topic, record), bytes: record.readableBytes + 64)
    }

    private mutating func put(_ item: Item, bytes: Int) -> Bool {
        guard self.bytes + bytes <= self.limitBytes || self.items.isEmpty else { return false }
        self.items.append(item)
        self.bytes += bytes
        return true
    }

    /// Everything that waits, ready to be published in this order.
    mutating func take(from own: NodeID) -> [(topic: Topic, bytes: ByteBuffer)] {
        var records: [(topic: Topic, bytes: ByteBuffer)] = []
        var order: [NodeID] = []
        var gathered: [NodeID: (entries: [NodeReplies.Entry], bytes: Int)] = [:]
        func close(_ node: NodeID) {
            guard let entries = gathered.removeValue(forKey: node)?.entries else { return }
            let replies = NodeReplies(to: node, from: own, entries: entries)
            records.append((HubTopics.node(node.process), NodeRecord.replies(replies).encoded()))
        }
        for item in self.items {
            switch item {
            case .record(let topic, let bytes):
                records.append((topic, bytes))
            case .reply(let node, let entry, let bytes):
                if let waiting = gathered[node], waiting.bytes + bytes > Self.recordBytes { close(node) }
                if gathered[node] == nil { order.append(node) }
                gathered[node, default: ([], 0)].entries.append(entry)
                gathered[node, default: ([], 0)].bytes += bytes
            }
        }
        for node in order { close(node) }
        self.items.removeAll(keepingCapacity: true)
        self.bytes = 0
        return records
    }
}
