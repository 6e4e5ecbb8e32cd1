package import BusbarDriver

/// How places in a stream queue and offsets of records translate.
///
/// A batch is one AMQP message, so that it is stored whole or not at all, and a message has one place in its queue: *n*, counted
/// by the broker from 0. Place 0 holds the log's own first message and no records. The records of the message at place *n* have
/// the offsets up to `n · stride`, the last one exactly that; so each message's neighbourhood is known without reading it.
package enum RecordPlace {
    /// The most records that a batch may have.
    package static let stride: UInt64 = 1_024
    /// Places beyond this are no broker's: their offsets wouldn't fit.
    package static let largest: UInt64 = .max / Self.stride - 1

    /// The offset of a message's record.
    package static func offset(of index: Int, in count: Int, at place: UInt64) -> Offset {
        Offset(place * Self.stride - UInt64(count - 1 - index))
    }

    /// The offset of the last record of a message.
    package static func last(at place: UInt64) -> Offset {
        Offset(place * Self.stride)
    }

    /// Where to read on for what lies behind `offset`. A message of which a part lies before it is read again.
    package static func next(after offset: Offset) -> UInt64 {
        min(offset.rawValue / Self.stride + 1, Self.largest)
    }

    /// The lowest offset of which nothing has been dropped, when the log's oldest message lies at `place`.
    package static func oldest(at place: UInt64) -> Offset {
        Offset(place <= 1 ? 1 : (place - 1) * Self.stride + 1)
    }
}
