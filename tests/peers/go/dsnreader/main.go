// dsnreader reads one delivery status notification from standard input by the parser of enmime, and prints
// what that finds as JSON: explanation, fields per message and per recipient, the third part, and the errors
// that the MIME parser had to put up with.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/jhillyerd/enmime/v2"
	"github.com/jhillyerd/enmime/v2/dsn"
)

type found struct {
	Subject     string
	From        string
	To          string
	Explanation string
	Message     []map[string][]string
	Recipients  []map[string][]string
	Failed      []bool
	Third       string
	ThirdType   string
	Errors      []string
}

func main() {
	root, err := enmime.ReadParts(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	report, err := dsn.ParseReport(root)
	if err != nil {
		log.Fatal(err)
	}
	if report == nil {
		log.Fatal("it is no report")
	}
	result := found{
		Subject:     root.Header.Get("Subject"),
		From:        root.Header.Get("From"),
		To:          root.Header.Get("To"),
		Explanation: report.Explanation.Text,
		Errors:      []string{},
	}
	for _, fields := range report.DeliveryStatus.MessageDSNs {
		result.Message = append(result.Message, fields)
	}
	for _, fields := range report.DeliveryStatus.RecipientDSNs {
		result.Recipients = append(result.Recipients, fields)
		result.Failed = append(result.Failed, dsn.IsFailed(fields))
	}
	parts := 0
	for part := root.FirstChild; part != nil; part = part.NextSibling {
		parts++
		if parts == 3 {
			result.Third, result.ThirdType = string(part.Content), part.ContentType
		}
		for _, fault := range part.Errors {
			result.Errors = append(result.Errors, fault.Error())
		}
	}
	for _, fault := range root.Errors {
		result.Errors = append(result.Errors, fault.Error())
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}
