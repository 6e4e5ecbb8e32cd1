package import BusbarDriver

/// The newest record that this driver has seen of a stream: by it a log is recognised as the same one, or as another.
package struct SeenMark: Hashable, Sendable {
    package let epoch: Epoch
    package let offset: Offset
    package let key: RecordKey

    package init(epoch: Epoch, offset: Offset, key: RecordKey) {
        self.epoch = epoch
        self.offset = offset
        self.key = key
    }

    /// Whether this mark says more than `other`. Epochs rise, and within one of them offsets do.
    package func isBeyond(_ other: SeenMark?) -> Bool {
        guard let other else { return true }
        return (self.epoch.rawValue, self.offset) > (other.epoch.rawValue, other.offset)
    }
}
