import CRabbitMQ

/// Where a consumer of a stream queue begins.
package enum StreamStart: Hashable, Sendable {
    /// At the oldest message.
    case first
    /// At the beginning of the newest chunk, the messages that the broker wrote together last.
    case last
    /// At the message of this place, or at the next one there is.
    case place(UInt64)
}

/// A method that the broker answers, as a value.
enum AMQPRequest: Hashable {
    case openChannel
    case selectConfirms
    /// How many messages a consumer that is made afterwards may be sent before it acknowledges some.
    case setPrefetch(UInt16)
    case declareExchange(String)
    case declareStream(String, [AMQPArgument])
    case bind(queue: String, exchange: String, key: String)
    case unbind(queue: String, exchange: String, key: String)
    case consume(queue: String, tag: String, from: StreamStart)
    case cancel(tag: String)
    /// Succeeds if there is none, too.
    case deleteQueue(String)
    case deleteExchange(String)

    /// The method that answers it.
    var answer: UInt32 {
        switch self {
        case .openChannel: AMQP_CHANNEL_OPEN_OK_METHOD
        case .selectConfirms: AMQP_CONFIRM_SELECT_OK_METHOD
        case .setPrefetch: AMQP_BASIC_QOS_OK_METHOD
        case .declareExchange: AMQP_EXCHANGE_DECLARE_OK_METHOD
        case .declareStream: AMQP_QUEUE_DECLARE_OK_METHOD
        case .bind: AMQP_QUEUE_BIND_OK_METHOD
        case .unbind: AMQP_QUEUE_UNBIND_OK_METHOD
        case .consume: AMQP_BASIC_CONSUME_OK_METHOD
        case .cancel: AMQP_BASIC_CANCEL_OK_METHOD
        case .deleteQueue: AMQP_QUEUE_DELETE_OK_METHOD
        case .deleteExchange: AMQP_EXCHANGE_DELETE_OK_METHOD
        }
    }

    /// Hands the method to the library.
    /// - Returns: the library's status.
    func send(on channel: UInt16, of state: amqp_connection_state_t) -> CInt {
        let memory = AMQPMemory()
        func method<Arguments>(_ id: UInt32, _ arguments: Arguments) -> CInt {
            var arguments = arguments
            return withUnsafeMutablePointer(to: &arguments) { amqp_send_method(state, channel, id, $0) }
        }
        switch self {
        case .openChannel:
            return method(AMQP_CHANNEL_OPEN_METHOD, amqp_channel_open_t())
        case .selectConfirms:
            return method(AMQP_CONFIRM_SELECT_METHOD, amqp_confirm_select_t())
        case .setPrefetch(let count):
            return method(AMQP_BASIC_QOS_METHOD, amqp_basic_qos_t(prefetch_size: 0, prefetch_count: count, global: 0))
        case .declareExchange(let name):
            var arguments = amqp_exchange_declare_t()
            arguments.exchange = memory.bytes(name)
            arguments.type = memory.bytes("direct")
            arguments.durable = 1
            return method(AMQP_EXCHANGE_DECLARE_METHOD, arguments)
        case .declareStream(let name, let options):
            var arguments = amqp_queue_declare_t()
            arguments.queue = memory.bytes(name)
            arguments.durable = 1
            arguments.arguments = memory.table([AMQPArgument("x-queue-type", "stream")] + options)
            return method(AMQP_QUEUE_DECLARE_METHOD, arguments)
        case .bind(let queue, let exchange, let key):
            var arguments = amqp_queue_bind_t()
            arguments.queue = memory.bytes(queue)
            arguments.exchange = memory.bytes(exchange)
            arguments.routing_key = memory.bytes(key)
            return method(AMQP_QUEUE_BIND_METHOD, arguments)
        case .unbind(let queue, let exchange, let key):
            var arguments = amqp_queue_unbind_t()
            arguments.queue = memory.bytes(queue)
            arguments.exchange = memory.bytes(exchange)
            arguments.routing_key = memory.bytes(key)
            return method(AMQP_QUEUE_UNBIND_METHOD, arguments)
        case .consume(let queue, let tag, let start):
            var arguments = amqp_basic_consume_t()
            arguments.queue = memory.bytes(queue)
            arguments.consumer_tag = memory.bytes(tag)
            arguments.arguments = memory.table([start.argument])
            return method(AMQP_BASIC_CONSUME_METHOD, arguments)
        case .cancel(let tag):
            var arguments = amqp_basic_cancel_t()
            arguments.consumer_tag = memory.bytes(tag)
            return method(AMQP_BASIC_CANCEL_METHOD, arguments)
        case .deleteQueue(let name):
            var arguments = amqp_queue_delete_t()
            arguments.queue = memory.bytes(name)
            return method(AMQP_QUEUE_DELETE_METHOD, arguments)
        case .deleteExchange(let name):
            var arguments = amqp_exchange_delete_t()
            arguments.exchange = memory.bytes(name)
            return method(AMQP_EXCHANGE_DELETE_METHOD, arguments)
        }
    }
}

extension StreamStart {
    fileprivate var argument: AMQPArgument {
        switch self {
        case .first: AMQPArgument("x-stream-offset", "first")
        case .last: AMQPArgument("x-stream-offset", "last")
        case .place(let place): AMQPArgument("x-stream-offset", Int64(clamping: place))
        }
    }
}

/// One entry of a table of arguments.
package struct AMQPArgument: Hashable, Sendable {
    package enum Value: Hashable, Sendable {
        case text(String)
        case number(Int64)
        case flag(Bool)
        case table([AMQPArgument])
    }

    package let key: String
    package let value: Value

    package init(_ key: String, _ text: String) {
        self.key = key
        self.value = .text(text)
    }

    package init(_ key: String, _ number: Int64) {
        self.key = key
        self.value = .number(number)
    }

    package init(_ key: String, _ value: Value) {
        self.key = key
        self.value = value
    }
}

/// Holds what the library is handed by pointer, as long as the call lasts.
final class AMQPMemory {
    private var blocks: [UnsafeMutableRawPointer] = []

    deinit {
        for block in self.blocks { block.deallocate() }
    }

    func bytes(_ text: String) -> amqp_bytes_t {
        let utf8 = Array(text.utf8)
        let block = self.allocate(byteCount: utf8.count, alignment: 1)
        block.copyMemory(from: utf8, byteCount: utf8.count)
        return amqp_bytes_t(len: utf8.count, bytes: block)
    }

    func table(_ arguments: [AMQPArgument]) -> amqp_table_t {
        let stride = MemoryLayout<amqp_table_entry_t>.stride
        let block = self.allocate(
            byteCount: arguments.count * stride, alignment: MemoryLayout<amqp_table_entry_t>.alignment)
        let entries = block.bindMemory(to: amqp_table_entry_t.self, capacity: arguments.count)
        for (index, argument) in arguments.enumerated() {
            var entry = amqp_table_entry_t()
            entry.key = self.bytes(argument.key)
            switch argument.value {
            case .text(let text):
                entry.value.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
                entry.value.value.bytes = self.bytes(text)
            case .number(let number):
                entry.value.kind = UInt8(AMQP_FIELD_KIND_I64.rawValue)
                entry.value.value.i64 = number
            case .flag(let flag):
                entry.value.kind = UInt8(AMQP_FIELD_KIND_BOOLEAN.rawValue)
                entry.value.value.boolean = flag ? 1 : 0
            case .table(let inner):
                entry.value.kind = UInt8(AMQP_FIELD_KIND_TABLE.rawValue)
                entry.value.value.table = self.table(inner)
            }
            entries.advanced(by: index).initialize(to: entry)
        }
        return amqp_table_t(num_entries: CInt(arguments.count), entries: entries)
    }

    private func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer {
        let block = UnsafeMutableRawPointer.allocate(byteCount: max(1, byteCount), alignment: alignment)
        self.blocks.append(block)
        return block
    }
}
