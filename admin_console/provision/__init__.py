"""Sites and people come and go: enrolment, approval, revocation, admins, and a server that has to be made anew."""
