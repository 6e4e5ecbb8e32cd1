package import BusbarDriver

/// What a look at both ends of a stream queue says of the log in it.
package enum LogSurvey: Hashable {
    /// No message at all, not even one that proposes an epoch: the queue was just made.
    case untouched
    case extent(StreamExtent)
    /// Behind the last batch lie so many messages that mean nothing that a look must begin earlier than at this place.
    case lookFurtherBack(than: UInt64)
    /// The two ends belong to different logs: the queue was made anew between the looks.
    case torn

    /// - Parameters:
    ///   - first: the oldest message.
    ///   - tail: the newest ones, without a hole, the newest last.
    package init(first: LogEntry?, tail: [LogEntry]) {
        guard let first, let start = tail.first else {
            self = first == nil && tail.isEmpty ? .untouched : .torn
            return
        }
        guard first.place <= start.place else {
            self = .torn
            return
        }
        var named: Epoch?
        if first.place == 0 {
            guard case .proposal(let epoch) = first.content else {
                // Why: whoever may write into the queue by hand has begun it. No epoch can be had from that.
                self = .torn
                return
            }
            named = epoch
        }
        for entry in tail.reversed() {
            guard case .batch(let epoch, _) = entry.content else { continue }
            guard named == nil || named == epoch else {
                self = .torn
                return
            }
            let oldest = RecordPlace.oldest(at: first.place)
            self = .extent(StreamExtent(epoch: epoch, oldest: oldest, newest: RecordPlace.last(at: entry.place)))
            return
        }
        if start.place == 0, let named {
            self = .extent(StreamExtent(epoch: named, oldest: RecordPlace.oldest(at: 0), newest: .beginning))
        } else if start.place > first.place {
            self = .lookFurtherBack(than: start.place)
        } else {
            self = .torn
        }
    }
}
