/// Who opens a connection and with what request, as the transport knows it.
package struct ConnectionIdentity: Sendable {
    package var id: String
    package var userID: String?
    package var user: Principal?
    package var request: ConnectionRequest
    package var transport: ConnectionTransport

    package init(
        id: String, userID: String?, user: Principal?, request: ConnectionRequest, transport: ConnectionTransport
    ) {
        self.id = id
        self.userID = userID
        self.user = user
        self.request = request
        self.transport = transport
    }
}
