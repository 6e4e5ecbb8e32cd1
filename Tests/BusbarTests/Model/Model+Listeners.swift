import Busbar
import BusbarDriver
import NIOCore

extension Model {
    mutating func join(_ node: Int) {
        guard self.listeners.count < 5 else { return }
        let topics = Set(Self.topics.filter { _ in self.chance(60) } + [Self.topics[self.pick(3)]])
        let subscriber = self.makeSubscriber()
        self.nodes[node].core.add(subscriber, to: topics)
        let start = subscriber.standing.positions[0]
        self.tell("listener \(self.listeners.count) joins node \(node) at \(start): \(topics.map(\.name).sorted())")
        self.listeners.append(
            Listener(topics: topics, start: start, node: node, subscriber: subscriber, cursor: start)
        )
    }

    mutating func makeSubscriber() -> Subscriber {
        var limits = SubscriberLimits()
        limits.queuedBytes = 200 + self.pick(2_000)
        return Subscriber(limits: limits)
    }

    mutating func leave(_ index: Int) {
        guard let node = self.listeners[index].node, let subscriber = self.listeners[index].subscriber else { return }
        self.tell("listener \(index) leaves at \(self.listeners[index].cursor)")
        self.nodes[node].core.remove(subscriber, from: self.listeners[index].topics)
        _ = subscriber.finish()
        self.listeners[index].node = nil
        self.listeners[index].subscriber = nil
    }

    mutating func take(_ index: Int, limitBytes: Int) {
        guard let node = self.listeners[index].node, let subscriber = self.listeners[index].subscriber,
            let head = self.nodes[node].core.head
        else { return }
        while let delivery = subscriber.take(limitBytes: limitBytes, heads: [head]) {
            self.record(delivery.gaps, delivery.messages, upTo: delivery.frontier.positions[0], index)
            if limitBytes != .max { return }
        }
        self.listeners[index].cursor = subscriber.frontier(heads: [head]).positions[0]
    }

    mutating func record(_ gaps: [Gap], _ messages: [Message], upTo place: Position, _ index: Int) {
        self.listeners[index].gaps += gaps
        self.listeners[index].seen += messages.map(Self.id)
        self.listeners[index].cursor = place
        if !gaps.isEmpty || !messages.isEmpty {
            self.tell("listener \(index) takes \(messages.map { String(buffer: $0.payload) }) \(gaps) up to \(place)")
        }
    }

    mutating func resume(_ index: Int) {
        guard self.listeners[index].node == nil else { return }
        let candidates = self.nodes.indices.filter { self.nodes[$0].isLive }
        guard !candidates.isEmpty else { return }
        let node = candidates[self.pick(candidates.count)]
        let (topics, cursor) = (self.listeners[index].topics, self.listeners[index].cursor)
        let subscriber = self.makeSubscriber()
        self.listeners[index].node = node
        self.listeners[index].subscriber = subscriber
        self.tell("listener \(index) resumes on node \(node) at \(cursor)")
        if self.nodes[node].core.standing(of: cursor) == .otherEpoch { self.check(node) }
        switch self.nodes[node].core.standing(of: cursor) {
        case .otherEpoch: self.beginNow(index, node, subscriber, .newEpoch, after: cursor)
        case .ahead:
            guard cursor.epoch == self.epoch else {
                self.check(node)
                return self.beginNow(index, node, subscriber, .newEpoch, after: cursor)
            }
            guard cursor.offset <= self.newest else {
                return self.beginNow(index, node, subscriber, .futureCursor, after: cursor)
            }
            self.nodes[node].core.add(subscriber, to: topics, from: cursor)
            subscriber.follow(ahead: cursor)
        case .inWindow, .inLog: self.catchUp(index, node, subscriber, from: cursor)
        }
    }

    mutating func beginNow(
        _ index: Int, _ node: Int, _ subscriber: Subscriber, _ reason: Gap.Reason, after: Position
    ) {
        guard let head = self.nodes[node].core.head else { return }
        self.nodes[node].core.add(subscriber, to: self.listeners[index].topics, from: head.position)
        _ = subscriber.offer(Gap(stream: Self.stream, reason: reason, after: after, upTo: head.position), at: head)
    }

    mutating func catchUp(_ index: Int, _ node: Int, _ subscriber: Subscriber, from cursor: Position) {
        let topics = self.listeners[index].topics
        var catchUp = CatchUp(index: 0, position: cursor, topics: topics, guarantees: self.guarantees)
        for _ in 0..<200 {
            switch self.nodes[node].core.standing(of: catchUp.position) {
            case .otherEpoch:
                return self.beginNow(index, node, subscriber, .newEpoch, after: catchUp.position)
            case .ahead:
                self.nodes[node].core.add(subscriber, to: topics, from: catchUp.position)
                subscriber.follow(ahead: catchUp.position)
                return
            case .inWindow:
                let page = self.nodes[node].core.windowPage(after: catchUp.position, limitBytes: 200) {
                    message, offset in
                    catchUp.isWanted(message, at: offset)
                }
                self.record([], page.messages, upTo: page.end, index)
                catchUp.move(to: page.end)
                guard page.end == self.nodes[node].core.head?.position else { continue }
                self.nodes[node].core.add(subscriber, to: topics, from: page.end)
                return
            case .inLog:
                let filter = catchUp
                let page = self.page(after: catchUp.nextRead)
                let step = catchUp.pageRead(page, self.nodes[node].core.recollection) {
                    filter.isWanted($0, at: $1)
                }
                if step.isLost { return self.beginNow(index, node, subscriber, .newEpoch, after: catchUp.position) }
                self.record(step.gaps, step.messages, upTo: catchUp.position, index)
            }
        }
        self.tell("listener \(index) never catches up")
        self.listeners[index].isStuck = true
    }
}
