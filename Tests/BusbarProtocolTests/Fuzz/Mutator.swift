import TestSupport

/// Makes hostile input: random bytes, random JSON, and valid input with a few things broken.
struct Mutator {
    private var generator: SeededGenerator

    init(seed: UInt64) {
        self.generator = SeededGenerator(seed: seed)
    }

    private static let fragments: [[UInt8]] =
        [
            "{", "}", "[", "]", "\"", ",", ":", "\\", "\\u", "\\ud83d", "\\ude00", "\\u0000", "null", "true", "-",
            "1e999999",
            "99999999999999999999999999", "0.0000000000000000000000001", "\u{1E}", "é", "\u{2028}", "😀", "type",
            "target",
            "%", "%ff", "&", ";", "=", "+", " ", "\n", String(repeating: "[", count: 70),
            String(repeating: "{\"a\":", count: 70),
        ].map { Array($0.utf8) } + [
            [0xFF], [0x80], [0xC3], [0xED, 0xA0, 0x80], [0x00], [0x7F], [0xFF, 0xFF, 0xFF, 0xFF],
        ]

    mutating func number(below bound: Int) -> Int { Int.random(in: 0..<max(bound, 1), using: &self.generator) }

    mutating func bytes(atMost length: Int) -> [UInt8] {
        (0..<self.number(below: length + 1)).map { _ in UInt8.random(in: 0...255, using: &self.generator) }
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[self.number(below: elements.count)] }

    /// `valid` with one to four things removed, inserted, overwritten, repeated or cut off; now and then nothing of it.
    mutating func mutated(_ valid: [UInt8]) -> [UInt8] {
        if self.number(below: 16) == 0 { return self.bytes(atMost: 64) }
        var bytes = valid
        for _ in 0...self.number(below: 4) {
            let place = self.number(below: bytes.count + 1)
            let end = min(bytes.count, place + self.number(below: 8))
            switch self.number(below: 6) {
            case 0: bytes.removeSubrange(place..<end)
            case 1: bytes.insert(contentsOf: self.pick(Self.fragments), at: place)
            case 2: if place < bytes.count { bytes[place] = UInt8.random(in: 0...255, using: &self.generator) }
            case 3: bytes.insert(contentsOf: bytes[place..<end], at: self.number(below: bytes.count + 1))
            case 4: bytes.removeSubrange(place...)
            default: if place < bytes.count { bytes[place] ^= 1 << UInt8(self.number(below: 8)) }
            }
        }
        return bytes
    }

    /// `bytes` cut into pieces at random.
    mutating func cut(_ bytes: [UInt8]) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let length = 1 + self.number(below: min(rest.count, 1 + self.number(below: 32)))
            pieces.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return pieces
    }

    /// A valid JSON value with white space where it may stand.
    mutating func json(depth: Int = 4) -> String {
        let space = self.pick(["", "", "", " ", "\n\t"])
        switch self.number(below: depth > 0 ? 9 : 6) {
        case 0: return self.pick(["null", "true", "false"]) + space
        case 1: return space + self.pick(["0", "-0", "7", "-12", "9223372036854775807", "-9223372036854775808"])
        case 2: return self.pick(["1.5", "-2e3", "1E-7", "18446744073709551616", "1e308", "0.1", "123456789.125"])
        case 3...5: return self.string()
        case 6, 7:
            let elements = (0..<self.number(below: 4)).map { _ in self.json(depth: depth - 1) }
            return "[\(space)\(elements.joined(separator: ",\(space)"))]"
        default:
            let members = (0..<self.number(below: 4)).map { _ in
                "\(self.string())\(space):\(self.json(depth: depth - 1))"
            }
            return "{\(space)\(members.joined(separator: "\(space),"))}"
        }
    }

    private mutating func string() -> String {
        let parts = [
            "a", "Name", "é", "😀", "\\n", "\\\"", "\\\\", "\\/", "\\u00e9", "\\ud83d\\ude00", "\\ud83d", "\\ude00",
            "\u{85}", "\u{2028}", "xxxxxxxxxxxxxxxx", " ",
        ]
        return "\"\((0..<self.number(below: 5)).map { _ in self.pick(parts) }.joined())\""
    }
}
