/// The bytes Meta would post.
enum WebhookBody {
    static func bytes(_ post: Post) -> [UInt8] { Array(text(post).utf8) }

    private static func text(_ post: Post) -> String {
        let changes = post.updates.map { update -> String in
            guard case .other = update else {
                return
                    #"{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"#
                    + #""447700900000","phone_number_id":"\#(post.place.phoneNumberID)"},\#(content(update))}}"#
            }
            return #"{"field":"account_update","value":{"event":"PARTNER_ADDED"}}"#
        }
        return #"{"object":"whatsapp_business_account","entry":[{"id":"5000000001","changes":["#
            + changes.joined(separator: ",") + "]}]}"
    }

    private static func content(_ update: Update) -> String {
        switch update {
        case .message(let sent): message(sent)
        case .notice(let notice): self.notice(notice)
        case .status(let reply, let word, let at): status(reply, word, at)
        case .other: ""
        }
    }

    private static func message(_ sent: Sent) -> String {
        let context =
            sent.quotes.map { quote in
                let id =
                    switch quote {
                    case .message(let name): name.wamid
                    case .reply(let reply): replyWamid(reply)
                    }
                return #""context":{"from":"447700900000","id":"\#(id)"},"#
            } ?? ""
        let contact = [
            #""profile":{"name":"Human \#(sent.human)"}"#, sent.number.map { #""wa_id":"\#($0.waID)""# },
            sent.account.map { #""user_id":"\#($0)""# },
        ].compactMap { $0 }.joined(separator: ",")
        let from = [
            sent.number.map { #""from":"\#($0.waID)","# }, sent.account.map { #""from_user_id":"\#($0)","# },
        ].compactMap { $0 }.joined()
        return #""contacts":[{\#(contact)}],"messages":[{\#(from)\#(context)"id":"\#(sent.name.wamid)","#
            + #""timestamp":"\#(sent.at)","type":"text","text":{"body":"\#(sent.name)"}}]"#
    }

    private static func notice(_ notice: Notice) -> String {
        let common = #""id":"\#(notice.name.wamid)","timestamp":"\#(notice.at)","type":"system""#
        switch notice.change {
        case .number(let old, let new):
            return
                #""messages":[{"from":"\#(old.waID)",\#(common),"system":{"body":"User changed from \#(old.waID) to "#
                + #"\#(new.waID)","wa_id":"\#(new.waID)","type":"user_changed_number"}}]"#
        case .account(let old, let new):
            let from = notice.number.map { #""from":"\#($0.waID)","# } ?? ""
            return #""messages":[{\#(from)"from_user_id":"\#(new)",\#(common),"system":{"body":"User changed","#
                + #""user_id":"\#(new)","previous_user_id":"\#(old)","type":"user_changed_user_id"}}]"#
        }
    }

    static func replyWamid(_ reply: RowID) -> String { "wamid.R\(reply.index)" }

    private static func status(_ reply: RowID, _ word: DeliveryWord, _ at: Moment) -> String {
        let errors = word == .failed ? #","errors":[{"code":131026,"title":"Message undeliverable"}]"# : ""
        return #""statuses":[{"id":"\#(replyWamid(reply))","status":"\#(word.rawValue)","timestamp":"\#(at)","#
            + #""recipient_id":"447900000000"\#(errors)}]"#
    }
}
