"""Phone numbers in the one form that the platform stores, as Kazoo's `knm_converters` gives it."""

import phonenumbers

from kazoo_tasks.authoring import task

#: Where a number without a country code is dialled; Kazoo's default converter is the North American plan.
_HOME_REGION = "US"


@task(idempotent=True)
def normalize(number: str) -> str:
    """Bring a phone number to E.164, such as `+14157125234`.

    Raises:
        ValueError: What was given is no phone number.
    """
    try:
        parsed = phonenumbers.parse(number, _HOME_REGION)
    except phonenumbers.NumberParseException as error:
        message = f"expected {number!r} to be a phone number, got: {error}"
        raise ValueError(message) from error
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
