import NIOCore

/// ISO 8601 dates as every SignalR generation writes them: `2026-01-31T23:59:59.25Z`.
///
/// Days are counted by the proleptic Gregorian calendar from an era that starts on 1 March of year 0, which puts the
/// leap day last and makes both directions plain arithmetic.
enum JSONDate {
    static func days(year: Int, month: Int, day: Int) -> Int {
        let shifted = month > 2 ? year : year - 1
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    static func civil(days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }

    static func isValid(year: Int, month: Int, day: Int) -> Bool {
        guard (1...12).contains(month), day >= 1 else { return false }
        let back = Self.civil(days: Self.days(year: year, month: month, day: day))
        return back.year == year && back.month == month && back.day == day
    }
}

extension ByteBuffer {
    /// Appends a point in time as a string in UTC, to the millisecond. Years 1 to 9999 only.
    mutating func writeJSONDate(secondsSince1970 seconds: Double) throws(JSONCodingError) {
        guard seconds >= -62_135_596_800, seconds < 253_402_300_799.9995 else {
            throw JSONCodingError(.outOfRange, "expected a date from year 1 to year 9999")
        }
        let milliseconds = Int((seconds * 1_000).rounded())
        let days = milliseconds >= 0 ? milliseconds / 86_400_000 : (milliseconds - 86_399_999) / 86_400_000
        let rest = milliseconds - days * 86_400_000
        let date = JSONDate.civil(days: days)
        self.writeInteger(UInt8(ascii: "\""))
        self.writePadded(date.year, digits: 4)
        self.writeInteger(UInt8(ascii: "-"))
        self.writePadded(date.month, digits: 2)
        self.writeInteger(UInt8(ascii: "-"))
        self.writePadded(date.day, digits: 2)
        self.writeInteger(UInt8(ascii: "T"))
        self.writePadded(rest / 3_600_000, digits: 2)
        self.writeInteger(UInt8(ascii: ":"))
        self.writePadded(rest / 60_000 % 60, digits: 2)
        self.writeInteger(UInt8(ascii: ":"))
        self.writePadded(rest / 1_000 % 60, digits: 2)
        if rest % 1_000 != 0 {
            self.writeInteger(UInt8(ascii: "."))
            self.writePadded(rest % 1_000, digits: 3)
        }
        self.writeStaticString("Z\"")
    }

    private mutating func writePadded(_ value: Int, digits: Int) {
        var divisor = digits == 4 ? 1_000 : digits == 3 ? 100 : 10
        while divisor > 0 {
            self.writeInteger(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }
}

extension JSONScanner {
    /// The date the next string names, in seconds since 1970. A time without offset is taken as UTC, a day as its
    /// start.
    mutating func readDate() throws(JSONCodingError) -> Double {
        let start = self.offset
        let text = Array(try self.readString(.strict).utf8)
        guard let seconds = Self.seconds(text) else {
            throw .mismatch(at: start, expected: "a date such as 2026-01-31T23:59:59Z")
        }
        return seconds
    }

    static func seconds(_ text: [UInt8]) -> Double? {
        var rest = text[...]
        guard let year = Self.takeDigits(4, &rest), Self.takeByte("-", &rest), let month = Self.takeDigits(2, &rest),
            Self.takeByte("-", &rest), let day = Self.takeDigits(2, &rest),
            JSONDate.isValid(year: year, month: month, day: day)
        else { return nil }
        let midnight = Double(JSONDate.days(year: year, month: month, day: day) * 86_400)
        if rest.isEmpty { return midnight }
        guard Self.takeByte("T", &rest) || Self.takeByte("t", &rest) || Self.takeByte(" ", &rest),
            let hour = Self.takeDigits(2, &rest), hour < 24, Self.takeByte(":", &rest),
            let minute = Self.takeDigits(2, &rest), minute < 60
        else { return nil }
        var time = Double(hour * 3_600 + minute * 60)
        if Self.takeByte(":", &rest) {
            guard let second = Self.takeDigits(2, &rest), second <= 60 else { return nil }
            time += Double(second)
            if Self.takeByte(".", &rest) {
                guard let fraction = Self.takeFraction(&rest) else { return nil }
                time += fraction
            }
        }
        guard let offset = Self.takeOffset(&rest), rest.isEmpty else { return nil }
        return midnight + time - Double(offset)
    }

    private static func takeOffset(_ rest: inout ArraySlice<UInt8>) -> Int? {
        if rest.isEmpty || Self.takeByte("Z", &rest) || Self.takeByte("z", &rest) { return 0 }
        let isWest = Self.takeByte("-", &rest)
        guard isWest || Self.takeByte("+", &rest), let hours = Self.takeDigits(2, &rest) else { return nil }
        _ = Self.takeByte(":", &rest)
        guard let minutes = Self.takeDigits(2, &rest), hours < 24, minutes < 60 else { return nil }
        let seconds = hours * 3_600 + minutes * 60
        return isWest ? -seconds : seconds
    }

    private static func takeFraction(_ rest: inout ArraySlice<UInt8>) -> Double? {
        var digits = 0.0
        var scale = 1.0
        var count = 0
        while let byte = rest.first, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
            rest.removeFirst()
            count += 1
            // Why: a date holds no more than about microseconds here, and digits beyond must not overflow the scale.
            if count <= 9 {
                digits = digits * 10 + Double(byte - UInt8(ascii: "0"))
                scale *= 10
            }
        }
        return count > 0 ? digits / scale : nil
    }

    private static func takeDigits(_ count: Int, _ rest: inout ArraySlice<UInt8>) -> Int? {
        guard rest.count >= count else { return nil }
        var value = 0
        for byte in rest.prefix(count) {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        rest.removeFirst(count)
        return value
    }

    private static func takeByte(_ byte: Unicode.Scalar, _ rest: inout ArraySlice<UInt8>) -> Bool {
        guard rest.first == UInt8(ascii: byte) else { return false }
        rest.removeFirst()
        return true
    }
}
