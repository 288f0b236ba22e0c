import Messaging
import Testing

@Suite struct QuestionFormTests {
    private func form(_ labels: [ChoiceLabel], _ wording: QuestionWording = .standard) -> QuestionForm {
        QuestionForm(wording, question: UniqueID(high: 1, low: 2), labels: labels)
    }

    private func labels(_ count: Int, property: String = "Flat") -> [ChoiceLabel] {
        (1...count).map { ChoiceLabel(property: "\(property) \($0)", landlord: "Landlord \($0)") }
    }

    @Test(
        "as many options as there are choose the shape",
        arguments: [(1, "buttons"), (3, "buttons"), (4, "list"), (10, "list"), (11, "numbered"), (100, "numbered")])
    func shape(count: Int, shape: String) {
        let form = form(labels(count))
        #expect("\(form.shape)" == shape && form.options.count == count)
        #expect(form.options.map(\.id) == (1...count).map { "zrq.00000000-0000-0001-0000-000000000002.\($0)" })
    }

    @Test("buttons name the property, and what they leave out stands above them")
    func buttons() {
        let form = form([
            ChoiceLabel(property: "12 Harbour Road, Bristol", landlord: "Ann Archer"),
            ChoiceLabel(property: nil, landlord: "Bob Baker"),
        ])
        #expect(form.body == "Who is this message for?\n1. 12 Harbour Road, Bristol – Ann Archer\n2. Bob Baker")
        #expect(form.options.map(\.title) == ["12 Harbour Road, Br…", "Bob Baker"])
        #expect(form.options.allSatisfy { $0.description == nil })
    }

    @Test("rows name the property and the landlord below it")
    func rows() {
        let form = form(labels(4))
        #expect(form.body == "Who is this message for?" && form.button == "Choose")
        #expect(form.options[3].title == "Flat 4" && form.options[3].description == "Landlord 4")
    }

    @Test("a numbered list says how to answer")
    func numbered() {
        let form = form(labels(12))
        #expect(form.body.hasPrefix("Who is this message for?\n1. Flat 1 – Landlord 1\n2. "))
        #expect(form.body.hasSuffix("\n12. Flat 12 – Landlord 12\nPlease answer with the number."))
    }

    @Test("titles that would read the same are numbered", arguments: [3, 9])
    func sameTitles(count: Int) {
        let long = labels(count, property: "The same long street name with a number behind")
        let titles = form(long).options.map(\.title)
        #expect(Set(titles).count == count && titles[1].hasPrefix("2. The same"))
        let nameless = form(Array(repeating: ChoiceLabel(property: nil, landlord: ""), count: count)).options
        #expect(nameless.allSatisfy { !$0.title.isEmpty } && Set(nameless.map(\.title)).count == count)
    }

    @Test("nothing is longer than Meta takes", arguments: [1, 2, 3, 4, 10, 11, 50, 100])
    func lengths(count: Int) {
        let long = String(repeating: "Wörld👩‍👩‍👧‍👦", count: 300)
        let wording = QuestionWording(text: long, button: long, numberHint: long)
        let form = form(
            (1...count).map { ChoiceLabel(property: "\($0) \(long)", landlord: long) }, wording)
        let isList = form.shape == .list
        #expect(form.body.utf16.count <= (form.shape == .buttons ? 1024 : 4096))
        #expect(form.button.utf16.count <= 20)
        #expect(
            form.options.allSatisfy {
                (1...(isList ? 24 : 20)).contains($0.title.utf16.count) || form.shape == .numbered
            })
        #expect(form.options.allSatisfy { ($0.description?.utf16.count ?? 0) <= 72 && $0.id.utf16.count <= 200 })
        #expect((1...count).allSatisfy { form.shape == .list || form.body.contains("\n\($0). ") })
    }

    @Test("names cannot break a line or turn the text around")
    func control() {
        let label = ChoiceLabel(property: "1\u{202E} A\n Street\u{0}", landlord: " \u{200B} ")
        #expect(label.property == "1 A Street" && label.landlord == nil)
    }

    @Test("a token is read as it was written, and nothing else is")
    func token() {
        let token = ChoiceToken(question: UniqueID(high: 7, low: 8), choice: 12)
        #expect(ChoiceToken(token.text) == token)
        for text in [
            "", "zrq.", "zrq.x.1", "\(token.text).1", "zrq.\(token.question).0", "zrq.\(token.question).101",
            "choice-1", "\(token.question).1",
        ] {
            #expect(ChoiceToken(text) == nil, "\(text)")
        }
    }
}
