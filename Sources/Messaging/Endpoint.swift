/// What kind of thing we receive on and send from.
public enum EndpointKind: String, Sendable, CaseIterable {
    /// A number on Meta's WhatsApp Cloud API; its provider id is the `phone_number_id`.
    case cloud
    /// A Facebook page; its provider id is the page id.
    case messenger
    /// An Instagram account; its provider id is the account id.
    case instagram
    /// A session of a self-hosted WhatsApp session server; its provider id is the session's name.
    case vpsSession = "vps_session"

    /// Whether its messages find a landlord. Those of the others are understood and stored raw.
    public var isRouted: Bool {
        switch self {
        case .cloud, .vpsSession: true
        case .messenger, .instagram: false
        }
    }

    /// The kind of account id a sender shows here beside, or in place of, a phone number.
    public var accountIDKind: IdentityKind {
        switch self {
        case .cloud: .businessScopedID
        case .messenger: .pageScopedID
        case .instagram: .instagramScopedID
        case .vpsSession: .lid
        }
    }
}

/// An endpoint as a webhook names it, before the table told us which row of ours it is.
public struct EndpointReference: Hashable, Sendable {
    public let kind: EndpointKind
    /// The provider's id: decimal digits for Meta, a name for a session. Opaque.
    public let providerID: String

    public init(kind: EndpointKind, providerID: String) {
        self.kind = kind
        self.providerID = providerID
    }
}

/// A row of `gateway.endpoints`: something we receive on and send from, and how far its identities count.
public struct Endpoint: Hashable, Sendable {
    public let id: UniqueID
    public let reference: EndpointReference
    /// The landlord, business or organisation it belongs to; `nil` for the platform's own, which all landlords share.
    public let ownerID: UniqueID?
    /// The trust domain of phone numbers learnt here: empty for the platform, otherwise the owner.
    public let phoneScope: String
    /// The trust domain of account ids learnt here: the portfolio, page, account, or owner and portfolio.
    public let accountIDScope: String

    public init(
        id: UniqueID, reference: EndpointReference, ownerID: UniqueID?, phoneScope: String, accountIDScope: String
    ) {
        self.id = id
        self.reference = reference
        self.ownerID = ownerID
        self.phoneScope = phoneScope
        self.accountIDScope = accountIDScope
    }
}
