module tubepost.io/bench/apns2

go 1.24.3

require (
	github.com/google/uuid v1.6.0
	github.com/sideshow/apns2 v0.25.0
	golang.org/x/net v0.50.0
)

require (
	github.com/golang-jwt/jwt/v4 v4.4.1 // indirect
	golang.org/x/text v0.34.0 // indirect
)
