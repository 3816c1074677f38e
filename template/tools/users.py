"""Users of a deployment: add one, get a token, give somebody the orders that were everybody's."""

import argparse

from tools.console import clear_errors, say
from tools.stack import Stack, reach


def add(stack: Stack, email: str, password: str) -> str:
    """Add a user, and give the id (the claim ``sub``, and the owner of orders).

    Raises:
        UsernameExistsException: there is one with this address.
        InvalidPasswordException: the password is too simple.
    """
    cognito, pool = stack.client("cognito-idp"), stack.outputs()["UserPoolId"]
    user = cognito.admin_create_user(
        UserPoolId=pool,
        Username=email,
        UserAttributes=[
            {"Name": "email", "Value": email},
            {"Name": "email_verified", "Value": "true"},
        ],
        MessageAction="SUPPRESS",  # no e-mail
    )["User"]
    cognito.admin_set_user_password(
        UserPoolId=pool, Username=email, Password=password, Permanent=True
    )
    return user_id(user["Attributes"])


def remove(stack: Stack, email: str) -> None:
    """Delete a user; their orders stay."""
    pool = stack.outputs()["UserPoolId"]
    stack.client("cognito-idp").admin_delete_user(UserPoolId=pool, Username=email)


def user_id(attributes: list[dict[str, str]]) -> str:
    """The id among a user's attributes."""
    return next(each["Value"] for each in attributes if each["Name"] == "sub")


def token(stack: Stack, email: str, password: str, kind: str = "AccessToken") -> str:
    """Sign in, and give the access token (or, as another ``kind``, the ``IdToken``).

    Raises:
        NotAuthorizedException: there is no such user, or the password is another one.
    """
    outputs = stack.outputs()
    answer = stack.client("cognito-idp").admin_initiate_auth(
        UserPoolId=outputs["UserPoolId"],
        ClientId=outputs["UserPoolClientId"],
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": password},
    )
    found: str = answer["AuthenticationResult"][kind]
    return found


def give(stack: Stack, email: str) -> int:
    """Give a user all orders that were placed before there were users, and count them."""
    outputs, table = stack.outputs(), stack.client("dynamodb")
    user = stack.client("cognito-idp").admin_get_user(
        UserPoolId=outputs["UserPoolId"], Username=email
    )
    owner = {"S": user_id(user["UserAttributes"])}
    name = outputs["OrdersTableName"]
    pages = table.get_paginator("query").paginate(
        TableName=name,
        KeyConditionExpression="#owner = :public",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={":public": {"S": "public"}},
    )
    items = [item for page in pages for item in page["Items"]]
    for item in items:
        key = {"owner": item["owner"], "id": item["id"]}
        # Both or none: no order is lost on the way, and none is there twice.
        table.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": name, "Item": item | {"owner": owner}}},
                {"Delete": {"TableName": name, "Key": key}},
            ]
        )
    return len(items)


def main() -> None:
    """Do one of it."""
    parser = argparse.ArgumentParser(prog="tox -qqe python -- -m tools.users", description=__doc__)
    parser.add_argument("what", choices=["add", "token", "give"])
    parser.add_argument("email", help="the user's e-mail address")
    parser.add_argument("--password", help="for add and token")
    parser.add_argument("--stage", required=True, metavar="NAME", help="the deployment")
    asked = parser.parse_args()
    if asked.what != "give" and not asked.password:
        parser.error(f"{asked.what} needs --password")
    with clear_errors():
        reach(asked.stage)
        stack = Stack(asked.stage)
        if asked.what == "add":
            say(f"{asked.email} is user {add(stack, asked.email, asked.password)}.")
        elif asked.what == "token":
            say(token(stack, asked.email, asked.password))
        else:
            say(f"{give(stack, asked.email)} orders are now those of {asked.email}.")


if __name__ == "__main__":
    main()
