import BusbarProtocol
import NIOCore
import Testing

/// A call of a client's method that wants an answer, as the client reads it.
struct Question: Decodable {
    var id: String
    var target: String
    var arguments: [JSONNode]

    private enum CodingKeys: String, CodingKey { case id = "invocationId", target, arguments }
}

extension CorePeer {
    /// The next text but pings, which must be a call that wants an answer.
    func question() async throws -> Question {
        var text = try #require(await self.next())
        while text == #"{"type":6}"# { text = try #require(await self.next()) }
        return try JSONValueText(validating: ByteBuffer(string: text)).decode(Question.self)
    }

    /// Answers with a member of a completion: `"result":…` or `"error":…`.
    func answer(_ question: Question, _ member: String) async throws {
        try await self.send(#"{"type":3,"invocationId":"\#(question.id)",\#(member)}"#)
    }
}

/// What fails, by its code and text.
func failure(_ body: () async throws -> Void) async -> String {
    do {
        try await body()
        return "nothing failed"
    } catch {
        return "\(error)"
    }
}
