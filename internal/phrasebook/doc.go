// Package phrasebook says in another language what the rest of imca says in English.
//
// Refusals, failed proofs and findings are English sentences: made by fmt in many packages, handed out by REST and the command line, and some of them
// kept in the database and read much later, by readers of any language. So they are translated where they are read. A book holds phrases, each an
// English sentence as it stands in the code, with its verbs (%s, %d, %q) or names in braces ({name}), and the same in the other language. It finds the
// phrase that a text was made by, takes the values out of it, and fills them into the translation.
//
// It holds to this: a value comes out as it went in, whatever it looks like, for nothing that was filled in is read again; only where a translation says
// so ({~1}) a value is itself a text that is looked up. What the book does not know stays as it is and is marked as foreign. The time that a text
// takes is bounded, for some texts have strangers' words in them.
//
// That every text of the code is in the book, and nothing else, is held by a test which reads the code.
package phrasebook
