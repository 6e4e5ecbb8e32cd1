import CRabbitMQ
import NIOCore

/// A message to be published: stored durably, and returned if there is no queue for it.
struct AMQPMessage: Hashable {
    let exchange: String
    let key: String
    let type: String
    let mark: LogEntry.Mark
    let body: ByteBuffer

    /// Hands the message to the library.
    /// - Returns: the library's status.
    func send(on channel: UInt16, of state: amqp_connection_state_t) -> CInt {
        let memory = AMQPMemory()
        var properties = amqp_basic_properties_t()
        properties._flags =
            UInt32(AMQP_BASIC_DELIVERY_MODE_FLAG) | UInt32(AMQP_BASIC_TYPE_FLAG) | UInt32(AMQP_BASIC_MESSAGE_ID_FLAG)
        properties.delivery_mode = 2
        properties.type = memory.bytes(self.type)
        var id = (self.mark.driver.bigEndian, self.mark.number.bigEndian)
        return withUnsafeMutableBytes(of: &id) { id in
            properties.message_id = amqp_bytes_t(len: id.count, bytes: id.baseAddress)
            return self.body.withUnsafeReadableBytes { body in
                amqp_basic_publish(
                    state, channel, memory.bytes(self.exchange), memory.bytes(self.key), 1, 0, &properties,
                    amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress)))
            }
        }
    }
}
