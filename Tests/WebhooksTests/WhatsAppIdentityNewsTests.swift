import Messaging
import Testing

@testable import Webhooks

/// System messages that tell of a person's new number or id.
@Suite struct WhatsAppIdentityNewsTests {
    private static let old = PhoneNumber(digits: 447_911_123_456)
    private static let new = PhoneNumber(digits: 447_911_999_999)

    private func message(_ members: String, system: String, contacts: String = "[]") throws -> InboundMessage {
        let whole = members + #","id":"m","timestamp":"1","type":"system","system":{\#(system)}"#
        return try #require(decode(message: whole, contacts: contacts)?.message)
    }

    @Test(
        arguments: [
            #""type":"user_changed_number","wa_id":"447911999999""#,
            #""type":"user_changed_number","new_wa_id":"447911999999","wa_id":"""#,
            #""type":"customer_changed_number","new_wa_id":447911999999"#,
        ])
    func `a new number is the sender's, and the old one is told`(system: String) throws {
        let message = try message(#""from":"447911123456""#, system: system + #","body":"Ann changed""#)
        #expect(message.identityChanges == [.phone(from: try #require(Self.old), to: try #require(Self.new))])
        #expect(message.sender == Sender(phone: Self.new))
        #expect(message.type == "system")
        #expect(message.body == "Ann changed")
    }

    /// What the system message says beside the number, and who wrote → the ids' change, the sender's ids.
    @Test(
        arguments: [
            (#""user_id":"GB.2","previous_user_id":"GB.1""#, "", "GB.1", "GB.2", nil),
            (#""user_id":"GB.2","parent_user_id":"GB.ENT.2""#, #","from_user_id":"GB.1""#, "GB.1", "GB.2", "GB.ENT.2"),
            (#""user_id":"GB.2""#, #","from_user_id":"GB.2""#, nil, "GB.2", nil),
            (#""x":1"#, #","from_user_id":"GB.1","from_parent_user_id":"GB.ENT.1""#, nil, nil, nil),
        ] as [(String, String, String?, String?, String?)])
    func `ids beside a new number count if they are called new`(
        system: String, from: String, oldID: String?, newID: String?, parentID: String?
    ) throws {
        let message = try message(
            #""from":"447911123456""# + from, system: #""type":"user_changed_number","wa_id":"447911999999","# + system)
        let phone = IdentityChange.phone(from: try #require(Self.old), to: try #require(Self.new))
        let account = oldID.flatMap { old in newID.map { IdentityChange.account(from: old, to: $0) } }
        #expect(message.identityChanges == [phone] + [account].compactMap { $0 })
        #expect(message.sender == Sender(phone: Self.new, accountID: newID, parentAccountID: parentID))
    }

    /// Who wrote, what the system message says → old id.
    @Test(
        arguments: [
            (#""from":"447911123456""#, #""previous_user_id":"GB.1""#, "GB.1"),
            (#""from_user_id":"GB.1""#, #""body":"x""#, "GB.1"),
            (#""from":"GB.1""#, #""body":"x""#, "GB.1"),
            (#""from":"","from_user_id":"GB.2""#, #""previous_user_id":"GB.1""#, "GB.1"),
            (#""from_user_id":"GB.2""#, #""body":"User Ann changed from GB.1 to GB.2""#, "GB.1"),
            (#""from_user_id":"GB.2""#, #""body":"User Ann changed from GB.1 to GB.2.""#, "GB.1"),
            (#""from_user_id":"GB.2""#, #""body":"User from GB.9 to GB.8 changed from US.ENT.1 to GB.2""#, "US.ENT.1"),
            (#""from_user_id":"GB.2""#, #""body":"User changed from GB.9 to GB.2 thinks Bob""#, nil),
            (#""from_user_id":"GB.2""#, #""body":"User Ann changed from GB.1 to GB.3""#, nil),
            (#""from_user_id":"GB.2""#, #""body":"changed from 447911123456 to GB.2""#, nil),
            (#""from_user_id":"GB.2""#, #""body":"from GB.2 to GB.2""#, nil), (#""from":"GB.2""#, #""body":7"#, nil),
        ] as [(String, String, String?)])
    func `a new id is the sender's, the old one is found in any of its places`(
        members: String, system: String, oldID: String?
    ) throws {
        let message = try message(members, system: #""type":"user_changed_user_id","user_id":"GB.2","# + system)
        #expect(message.identityChanges == (oldID.map { [.account(from: $0, to: "GB.2")] } ?? []))
        #expect(message.sender.accountID == "GB.2")
        #expect(message.sender.phone == (members.contains("4479") ? Self.old : nil))
    }

    @Test func `a number and an id can change at once`() throws {
        let message = try message(
            #""from":"447911123456""#,
            system: #""type":"user_changed_user_id","user_id":"GB.2","previous_user_id":"GB.1","wa_id":"447911999999""#)
        #expect(
            message.identityChanges == [
                .phone(from: try #require(Self.old), to: try #require(Self.new)), .account(from: "GB.1", to: "GB.2"),
            ])
    }

    @Test func `where the number is hidden, an id stands in its place`() throws {
        let message = try message(
            #""from":"GB.1""#, system: #""type":"user_changed_number","wa_id":"GB.2""#)
        #expect(message.identityChanges == [.account(from: "GB.1", to: "GB.2")])
        #expect(message.sender == Sender(accountID: "GB.2"))
    }

    /// Who wrote, the contacts beside it.
    @Test(
        arguments: [
            (#""from_user_id":"GB.1""#, "[]"), (#""from":"","from_user_id":"GB.1""#, "[]"), (#""from":"GB.1""#, "[]"),
            (#""from":null,"from_user_id":"GB.1""#, #"[{"user_id":"GB.1","wa_id":"447911999999"}]"#),
        ])
    func `where the old number is hidden the old id says who wrote, and nothing is learnt`(
        members: String, contacts: String
    ) throws {
        let message = try message(
            members, system: #""type":"user_changed_number","wa_id":"447911999999""#, contacts: contacts)
        #expect(message.identityChanges.isEmpty)
        #expect(message.sender == Sender(accountID: "GB.1"))
    }

    @Test func `where the old number is hidden a new id takes the old one's place`() throws {
        let message = try message(
            #""from_user_id":"GB.1""#,
            system: #""type":"user_changed_number","wa_id":"447911999999","user_id":"GB.2""#)
        #expect(message.identityChanges == [.account(from: "GB.1", to: "GB.2")])
        #expect(message.sender == Sender(phone: Self.new, accountID: "GB.2"))
    }

    @Test func `a number is known from the new place alone`() throws {
        let message = try message(#""x":1"#, system: #""type":"user_changed_number","wa_id":"447911999999""#)
        #expect(message.identityChanges.isEmpty)
        #expect(message.sender == Sender(phone: Self.new))
    }

    @Test(
        arguments: [
            #""type":"customer_identity_changed","wa_id":"447911999999","user_id":"GB.2""#,
            #""type":"user_identity_changed","wa_id":"447911999999""#, #""type":"something_new","user_id":"GB.2""#,
            #""wa_id":"447911999999""#, #""type":"user_changed_number""#, #""type":"user_changed_number","wa_id":"12""#,
            #""type":"user_changed_number","wa_id":"447911123456""#, #""type":"user_changed_user_id""#,
        ])
    func `other news change nothing`(system: String) throws {
        let message = try message(
            #""from":"447911123456","from_user_id":"GB.1""#, system: system,
            contacts: #"[{"wa_id":"447911123456","profile":{"name":"Ann"}}]"#)
        #expect(message.identityChanges.isEmpty)
        #expect(message.sender.phone == Self.old)
        #expect(message.sender.displayName == "Ann")
    }

    @Test func `only a system message is believed`() throws {
        let whole =
            #""from":"447911123456","id":"m","type":"text","text":{"body":"x"},"#
            + #""system":{"type":"user_changed_number","wa_id":"447911999999"}"#
        let message = try #require(decode(message: whole)?.message)
        #expect(message.identityChanges.isEmpty && message.sender.phone == Self.old)
    }
}
