import NIOCore
import TestSupport

/// Makes requests of classic clients: valid ones, and ones with a few things wrong in paths, parameters, forms and calls.
struct RequestFuzzer {
    /// A request as bytes, and whether its head and length are those of a correct HTTP message.
    struct Request {
        let bytes: ByteBuffer
        let isHTTP: Bool
        let isUpgrade: Bool
    }

    /// What valid clients carry: any of it may turn up in any request.
    struct Pool {
        var tokens: [String]
        var cursors: [String]
        var groupsTokens: [String]
    }

    private static let endings = [
        "negotiate", "ping", "start", "connect", "reconnect", "poll", "send", "abort", "hubs", "js", "", "Poll/",
        "a/b/send",
    ]
    private static let bases = ["/signalr", "/signalr", "/signalr", "/signalr/js", "/raw", "/SIGNALR"]
    private static let names = [
        "transport", "clientProtocol", "connectionToken", "connectionData", "messageId", "groupsToken", "data",
        "callback",
        "frameId", "tid",
    ]
    private static let calls = [
        #"{"H":"echohub","M":"echo","A":["x"],"I":0}"#, #"{"H":"ECHOHUB","M":"Send","A":["a b"],"I":"1","S":{"a":1}}"#,
        #"{"H":"echohub","M":"join","A":["g"],"I":2}"#, #"{"H":"echohub","M":"toGroup","A":["g","x"]}"#,
        #"{"H":"echohub","M":"mix","A":[7],"I":3}"#, #"{"H":"echohub","M":"fail","A":["no"],"I":4}"#,
        #"{"H":"nobody","M":"x","A":[],"I":5}"#, "", "plain text",
    ]
    private static let types = [
        nil, "application/x-www-form-urlencoded; charset=UTF-8", "application/json", "text/plain",
        "multipart/form-data", "\u{1}",
    ]
    private static let fragments: [[UInt8]] =
        [
            "{", "}", "[", "]", "\"", ",", ":", "\\u0000", "\\ud83d", "null", "%", "%2", "&", ";", "=", "+", "|", "d-",
            "A,",
            "99999999999999999999", String(repeating: "[", count: 70), String(repeating: "x", count: 3_000), "é",
            "\u{2028}",
        ].map { Array($0.utf8) } + [[0xFF], [0xC3], [0x00], [0x0D, 0x0A]]

    private let pool: Pool
    private var generator: SeededGenerator

    init(seed: UInt64, pool: Pool) {
        self.generator = SeededGenerator(seed: seed)
        self.pool = pool
    }

    mutating func number(below bound: Int) -> Int { Int.random(in: 0..<max(bound, 1), using: &self.generator) }

    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[self.number(below: elements.count)]
    }

    private mutating func chance(of one: Int) -> Bool { self.number(below: one) == 0 }

    /// `valid` with one to three things removed, inserted, overwritten or cut off; now and then nothing of it.
    mutating func mutated(_ valid: [UInt8]) -> [UInt8] {
        if self.chance(of: 16) { return (0..<self.number(below: 64)).map { _ in UInt8(self.number(below: 256)) } }
        var bytes = valid
        for _ in 0...self.number(below: 3) {
            let place = self.number(below: bytes.count + 1)
            switch self.number(below: 5) {
            case 0: bytes.removeSubrange(place..<min(bytes.count, place + self.number(below: 8)))
            case 1: bytes.insert(contentsOf: self.pick(Self.fragments), at: place)
            case 2: if place < bytes.count { bytes[place] = UInt8(self.number(below: 256)) }
            case 3: bytes.removeSubrange(place...)
            default: if place < bytes.count { bytes[place] ^= 1 << UInt8(self.number(below: 8)) }
            }
        }
        return bytes
    }

    private mutating func maybeMutated(_ text: String) -> [UInt8] {
        self.chance(of: 4) ? self.mutated(Array(text.utf8)) : Array(text.utf8)
    }

    private mutating func value(of name: String) -> String {
        switch name {
        case "transport":
            self.pick(["webSockets", "serverSentEvents", "foreverFrame", "longPolling", "LONGPOLLING", "carrierPigeon"])
        case "clientProtocol": self.pick(["1.2", "1.3", "1.4", "1.5", "2.0", "2.1", "9.9", "x", ""])
        case "connectionToken": self.pick(self.pool.tokens)
        case "connectionData": self.pick([#"[{"name":"echohub"}]"#, "[]", "", #"[{"Name":"EchoHub"},{"name":"x"}]"#])
        case "messageId": self.pick(self.pool.cursors + ["", "d-1F-A,0|B,0", "s-0,1", "d-|"])
        case "groupsToken": self.pick(self.pool.groupsTokens + self.pool.tokens + [""])
        case "data": self.pick(Self.calls)
        case "callback": self.pick(["cb", "a.b", "", "(function(){})", "enum"])
        case "frameId": self.pick(["1", "4294967295", "4294967296", "-1", ""])
        default: self.pick(["1", ""])
        }
    }

    /// Every byte as it is, in the form of a parameter's value.
    private func escaped(_ bytes: [UInt8]) -> String {
        bytes.map { "%" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private mutating func parameters(_ names: [String], oneOutOf share: Int) -> String {
        var pairs: [String] = []
        for name in names where !self.chance(of: share) {
            let value = self.maybeMutated(self.value(of: name))
            let name = self.chance(of: 24) ? self.escaped(self.mutated(Array(name.utf8))) : name
            pairs.append("\(name)=\(self.escaped(value))")
        }
        if self.chance(of: 16), let pair = pairs.randomElement(using: &self.generator) { pairs.append(pair) }
        return pairs.joined(separator: self.pick(["&", "&", "&", ";", "&&"]))
    }

    /// A call as a client would send it over a socket, mostly broken.
    mutating func call() -> [UInt8] { self.mutated(Array(self.pick(Self.calls).utf8)) }

    mutating func request() -> Request {
        let path = self.pick(Self.bases) + "/" + self.pick(Self.endings)
        let target = "\(path)?\(self.parameters(Self.names, oneOutOf: 6))"
        let isUpgrade = self.chance(of: 6)
        var fields = isUpgrade ? RawRequest.upgradeFields : []
        var body = ""
        if !isUpgrade, self.chance(of: 2) {
            body = self.parameters(["data", "messageId", "groupsToken"], oneOutOf: 2)
            if let type = self.pick(Self.types) { fields.append("Content-Type: \(type)") }
        }
        let text = RawRequest.text(
            target, method: isUpgrade || body.isEmpty ? self.pick(["GET", "GET", "POST"]) : "POST", fields: fields,
            body: body)
        let isHTTP = !self.chance(of: 8) && !fields.contains { $0.hasSuffix("\u{1}") }
        let bytes = isHTTP ? Array(text.utf8) : self.mutated(Array(text.utf8))
        return Request(bytes: ByteBuffer(bytes: bytes), isHTTP: isHTTP, isUpgrade: isUpgrade)
    }
}
