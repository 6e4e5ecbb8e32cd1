// Stands in for the programming model until it lands; whoever lands it deletes this file.
public final class ConnectionContext: Sendable {
    public let id: String
    public let userID: String?
    package init(id: String, userID: String?) {
        self.id = id
        self.userID = userID
    }
}

public struct HubRegistration: Sendable {}

package struct RegisteredHub: Sendable {
    package let name: String
}
