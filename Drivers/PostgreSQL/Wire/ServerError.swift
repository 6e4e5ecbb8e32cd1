package import BusbarDriver
import CLibPQ

/// What PostgreSQL or libpq says when something fails.
package struct ServerError: Error, Hashable {
    /// Five characters, such as 57P01; nil when the failure is not the server's, or its state isn't known.
    package let state: String?
    /// In the server's language, one line.
    package let message: String

    package init(state: String?, message: String) {
        self.state = state
        self.message = message
    }

    /// Of a failed statement.
    init(result: OpaquePointer) {
        let field = { (code: UnicodeScalar) -> String? in
            PQresultErrorField(result, CInt(code.value)).map { String(cString: $0) }
        }
        let message = field("M") ?? PQresultErrorMessage(result).map { String(cString: $0) } ?? ""
        self.init(state: field("C"), message: Self.oneLine(message))
    }

    /// Of a connection that broke.
    init(connection: OpaquePointer) {
        self.init(state: nil, message: Self.oneLine(PQerrorMessage(connection).map { String(cString: $0) } ?? ""))
    }

    /// Of a connection that did not come about.
    /// - Parameter report: libpq's text in its verbose form, the only one that shows the state: one or more attempts such as
    ///   `connection to server at "::1", port 5432 failed: FATAL:  28P01: password authentication failed`.
    package init(connecting report: String) {
        let lines = report.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("LOCATION:") }
        let states = lines.map(Self.state(in:))
        // Why all: one host that refuses our password says nothing of another one that can't be reached at present.
        let attempts = zip(lines, states).filter { $0.0.hasPrefix("connection to server") || $0.1 != nil }.map(\.1)
        let common = attempts.first.flatMap { first in attempts.allSatisfy { $0 == first } ? first : nil }
        self.init(state: common, message: Self.oneLine(lines.joined(separator: "\n")))
    }

    /// `FATAL:  28P01: text` is how the verbose form shows a state, in any language.
    private static func state(in line: Substring) -> String? {
        guard let mark = line.firstRange(of: ":  ") else { return nil }
        let state = line[mark.upperBound...].prefix(5)
        let isState = state.utf8.count == 5 && state.allSatisfy { $0.isASCII && ($0.isNumber || $0.isUppercase) }
        return isState && line[mark.upperBound...].dropFirst(5).hasPrefix(":") ? String(state) : nil
    }

    private static func oneLine(_ text: String) -> String {
        let line = text.split(whereSeparator: \.isNewline).joined(separator: "; ")
        return String(line.prefix(500))
    }

    /// A prepared statement is not there; the statement as such was not run, and may be sent again in full.
    package var isUnknownStatement: Bool { self.state == "26000" }

    /// Whether nothing good comes of this link any more: it ended, it leads to a standby, or the schema has gone.
    package var meansOtherLink: Bool {
        switch self.state {
        case nil, "57P01", "57P02", "57P03", "25006", "BB001", "3F000", "42P01", "42883", "23514": true
        default: self.state?.hasPrefix("08") == true
        }
    }

    package func driverError(during operation: StaticString) -> DriverError {
        let (code, recovery) = self.judgement
        let detail = self.state.map { "\(self.message) (\($0))" } ?? self.message
        return DriverError(code, during: operation, recovery: recovery, detail: detail)
    }

    private var judgement: (DriverError.Code, DriverError.Recovery) {
        guard let state = self.state else { return (.unreachable, .retry(after: .zero)) }
        switch state {
        case "25006": return (.overloaded, .retry(after: .milliseconds(500)))
        case "26000": return (.overloaded, .retry(after: .zero))
        case "55P03", "40001", "40P01", "57014": return (.overloaded, .retry(after: .milliseconds(50)))
        case "54000", "55000", "58030": return (.overloaded, .retry(after: .milliseconds(250)))
        case "42501": return (.unauthorized, .giveUp)
        case "3D000": return (.rejected, .giveUp)
        case "BB002": return (.rejected, .giveUp)
        case _ where self.meansOtherLink: return (.unreachable, .retry(after: .milliseconds(50)))
        case _ where state.hasPrefix("28"): return (.unauthorized, .giveUp)
        // Out of disk, memory or connections: the server will have some again.
        case _ where state.hasPrefix("53"): return (.overloaded, .retry(after: .milliseconds(250)))
        default: return (.rejected, .giveUp)
        }
    }
}
