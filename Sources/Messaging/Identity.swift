/// The families of identifiers one human may have. None can be derived from another.
public enum IdentityKind: String, Sendable, CaseIterable {
    case phone
    /// WhatsApp's business-scoped user id, `US.13491208655302741918`: one per person and business portfolio.
    case businessScopedID = "bsuid"
    /// The same for linked portfolios, `US.ENT.…`.
    case parentBusinessScopedID = "parent_bsuid"
    /// WhatsApp's hidden per-user id as session servers show it. It looks like a number and is none.
    case lid
    case instagramScopedID = "igsid"
    case pageScopedID = "psid"
    /// Display only: it changes, and is never resolved to a person.
    case username
}

/// An account id inside its trust domain: what a sender is known by when the phone number is missing.
public struct AccountIdentity: Hashable, Sendable {
    public let kind: IdentityKind
    /// `Endpoint.accountIDScope` of where it was seen.
    public let scope: String
    /// Opaque and case-sensitive.
    public let value: String

    public init(kind: IdentityKind, scope: String, value: String) {
        self.kind = kind
        self.scope = scope
        self.value = value
    }
}

/// Everything one message says about who wrote it. Any part may be missing, but not all of them.
public struct Sender: Hashable, Sendable {
    public var phone: PhoneNumber?
    /// Business-scoped id, page- or Instagram-scoped id, or LID, by the kind of the endpoint.
    public var accountID: String?
    public var parentAccountID: String?
    /// What the sender calls themselves. Chosen by them: shown with care, never used to decide.
    public var displayName: String?
    public var username: String?

    public init(
        phone: PhoneNumber? = nil, accountID: String? = nil, parentAccountID: String? = nil,
        displayName: String? = nil, username: String? = nil
    ) {
        self.phone = phone
        self.accountID = accountID
        self.parentAccountID = parentAccountID
        self.displayName = displayName
        self.username = username
    }

    public var isKnownByNothing: Bool { phone == nil && accountID == nil && parentAccountID == nil }
}
